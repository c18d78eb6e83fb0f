//! How a verb reaches its session: the same options for all of them, and the same from the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Signatures, parse_header, parse_pin};
use crate::agent::ConnectOptions;
use crate::connection::{Header, Pin};
use crate::credential;
use crate::error::AgentError;
use crate::naming::draw;

/// Where to join, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct Joining {
    /// The coordinator: ws://HOST:PORT, or wss://HOST/session/ID
    #[arg(long, env = "MPAC_URL", value_name = "URL")]
    pub url: Option<String>,
    /// As whom: intents, commits and acknowledgements are this name's. What only looks joins beside it, as its guest
    #[arg(long, env = "MPAC_NAME")]
    pub name: Option<String>,
    /// The session to join [default: ID if the address ends in /session/ID, else "default"]
    #[arg(long, env = "MPAC_SESSION", value_name = "ID")]
    pub session: Option<String>,
    /// The identity [default: "agent:NAME"]
    #[arg(long, env = "MPAC_PRINCIPAL_ID", value_name = "ID")]
    pub principal_id: Option<String>,
    /// A role to ask for; may be repeated
    #[arg(long = "role", default_value = "contributor", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// Another address of the same coordinator or of its standby; may be repeated
    #[arg(long = "also", value_name = "URL")]
    pub also: Vec<String>,
    /// An extra header of the WebSocket handshake; may be repeated
    #[arg(long = "header", value_parser = parse_header, value_name = "'Name: value'")]
    pub headers: Vec<Header>,
    /// The coordinator's certificate, by its fingerprint: for one that nobody vouches for
    #[arg(long, env = "MPAC_PIN", value_parser = parse_pin, value_name = "sha256:HEX")]
    pub pin: Option<Pin>,
    /// A file with the credential to join with, as TYPE:VALUE; MPAC_CREDENTIAL is read without it
    #[arg(long, env = "MPAC_CREDENTIAL_FILE", value_name = "FILE")]
    pub credential_file: Option<PathBuf>,
    /// Signatures, and what is written down.
    #[command(flatten)]
    pub signatures: Signatures,
    /// After a broken connection look for the coordinator for so many seconds; 0 never does
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub reconnect_for_sec: u32,
    /// How long an answer may take
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub answer_within_sec: u32,
    /// Ask how the session stands in the way of mpac 0.2's servers; ours tell it unasked, those of mpac 0.1 hang up on it
    #[arg(long)]
    pub ask_summary: bool,
    /// Results as lines of JSON on standard output
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

impl Joining {
    /// The same for the library. `looks`: the verb does nothing that needs a name.
    ///
    /// # Errors
    /// [`AgentError::Usage`].
    pub fn options(&self, looks: bool) -> Result<ConnectOptions, AgentError> {
        let usage = |text: &str| AgentError::Usage(text.to_owned());
        // A variable that is set to nothing says nothing.
        let url = self.url.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
            usage("say where the coordinator is, with --url or MPAC_URL, as in --url ws://127.0.0.1:8766")
        })?;
        let guest = || format!("guest-{:06x}", draw() & 0x00ff_ffff);
        let credential = credential::given(self.credential_file.as_deref())?;
        let proves = credential.is_some() || self.signatures.chain.is_some();
        let name = match self.name.as_ref().filter(|name| !name.is_empty()) {
            // A name can be in a session once, and whoever looks should not keep its own work out. A key may be good for
            // the name alone.
            Some(name) if looks && !proves && self.principal_id.is_none() => {
                format!("{name}-{}", guest())
            }
            Some(name) => name.clone(),
            None if looks => guest(),
            None => return Err(usage("say whose this is, with --name or MPAC_NAME, as in --name Bob")),
        };
        let mut options = ConnectOptions::new(url, &name);
        options.session.clone_from(&self.session);
        options.principal_id.clone_from(&self.principal_id);
        options.roles.clone_from(&self.roles);
        options.also.clone_from(&self.also);
        options.headers.clone_from(&self.headers);
        options.pin.clone_from(&self.pin);
        options.credential = credential;
        options.security = self.signatures.options();
        options.patience = Duration::from_secs(self.reconnect_for_sec.into());
        options.answer_limit = Duration::from_secs(self.answer_within_sec.into());
        options.asks_summary = self.ask_summary;
        Ok(options)
    }
}
