//! What `close` is told.

use clap::{Args, ValueEnum};
use mpac_wire::names::CloseDisposition;

use super::whose::Whose;

/// Which session ends, and how.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Close {
    /// Id of the session
    #[arg(long, value_name = "ID")]
    pub session: String,
    /// What becomes of intents that are active
    #[arg(long, value_name = "WHAT", value_enum, default_value = "withdraw_all")]
    pub disposition: Disposition,
    #[command(flatten)]
    /// The server that has it, running or stopped.
    pub whose: Whose,
}

/// What becomes of active intents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Disposition {
    /// They are withdrawn
    WithdrawAll,
    /// They expire
    ExpireAll,
}

impl From<Disposition> for CloseDisposition {
    fn from(it: Disposition) -> Self {
        match it {
            Disposition::WithdrawAll => Self::WithdrawAll,
            Disposition::ExpireAll => Self::ExpireAll,
        }
    }
}
