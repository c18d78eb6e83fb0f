//! Options of the verb `heartbeat`.

use clap::Args;
use mpac_wire::IntentId;
use mpac_wire::names::{HeartbeatStatus, ProviderStatus};
use mpac_wire::payload::session::Backend;

use super::connection::Joining;
use super::words::{activity, model, provider_status};

/// Options of `heartbeat`.
#[derive(Debug, Args)]
pub struct Heartbeat {
    /// What you are at: idle, working, blocked, awaiting_review or offline [default: working with --intent, else idle]
    #[arg(long, value_name = "WORD", value_parser = activity)]
    pub status: Option<HeartbeatStatus>,
    /// The own intent that you are at work on
    #[arg(long, value_name = "INTENT")]
    pub intent: Option<IntentId>,
    /// How long that intent lives from now on; with --hold again and again
    #[arg(long, value_name = "SECONDS", requires = "intent", value_parser = clap::value_parser!(u32).range(1..))]
    pub ttl_sec: Option<u32>,
    /// Stay until Ctrl-C, and show what happens
    #[arg(long)]
    pub hold: bool,
    /// The model behind your work, for sessions that want to know how it is
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = model, requires = "model_status")]
    pub model: Option<String>,
    /// How it is: operational, degraded, down or unknown. One that is down may cost the intents, which others can claim then
    #[arg(long, value_name = "WORD", value_parser = provider_status, requires = "model")]
    pub model_status: Option<ProviderStatus>,
    /// Why, for people
    #[arg(long, value_name = "TEXT", requires = "model_status")]
    pub model_detail: Option<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a documented group of options would get this as its heading")]
    pub joining: Joining,
}

impl Heartbeat {
    /// The model as it is declared when joining: whose has not been declared is not believed to be ill (BHM-01).
    #[must_use]
    pub fn backend(&self) -> Option<Backend> {
        let model = self.model.as_ref()?;
        let (provider, _) = model.split_once('/')?;
        Some(Backend::new(model.clone(), provider.to_owned()))
    }
}
