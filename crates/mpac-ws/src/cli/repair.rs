//! Options of `mpac-ws repair`.

use clap::Args;

use super::whose::Whose;
pub use crate::store::repair::Way;

/// What `repair` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Repair {
    /// The server that has it.
    #[command(flatten)]
    pub whose: Whose,
    /// Look at this session only [default: all that a server would start with]
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Which of the sessions that there were of that id, counted from 1 [default: the last]
    #[arg(long, value_name = "K", requires = "session")]
    pub run: Option<u64>,
    /// Say what is damaged, what is usable, and what each way of going on would lose; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How to go on [default: the way that loses nothing; where there is none, it has to be said]
    #[arg(long, value_name = "WAY", value_enum)]
    pub way: Option<Way>,
}
