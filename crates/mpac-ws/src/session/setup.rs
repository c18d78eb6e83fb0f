//! From the server's settings to a session that can run.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mpac_core::{Coordinator, IdSource, SessionConfig};
use mpac_wire::SessionId;
use mpac_wire::policy::RolePolicy;
use tokio::sync::Semaphore;

use super::Session;
use super::deliver::Delivery;
use super::door::Door;
use crate::banner::DEFAULT_SESSION;
use crate::cli::Settings;
use crate::clock;
use crate::error::Error;
use crate::workspace::Workspace;
use crate::workspace::write_back::Mirror;
use crate::workspace::writer::Writer;

/// What a session starts from.
pub(crate) struct Setup<'a> {
    pub(crate) id: SessionId,
    pub(crate) settings: &'a Settings,
    pub(crate) workspace: Workspace,
    /// Whether it outlives its connections; set when it is opened.
    pub(crate) keep: Arc<AtomicBool>,
    /// For a session that somebody has to open first: how many may be open.
    pub(crate) places: Option<Arc<Semaphore>>,
}

impl Setup<'_> {
    /// # Errors
    /// When the core refuses the configuration, or the role policy cannot be read.
    pub(crate) fn open(self) -> Result<Session, Error> {
        let config = config(self.settings, self.id, &self.workspace)?;
        let core = coordinator(config.clone())?;
        let mirror = if self.settings.write_back { Mirror::of(&self.workspace) } else { None };
        let delivery = Delivery::new(
            config.session_id.clone(),
            self.workspace,
            mirror.map(Writer::start),
            self.settings.max_frame_bytes as usize,
        );
        let door = self.places.map(|places| Door { config, places, keep: self.keep });
        Ok(Session { core, door, place: None, delivery })
    }
}

/// Whether a session can be opened with these settings, for servers that open none at the start.
///
/// # Errors
/// As for [`Setup::open`].
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    let id = SessionId::new(DEFAULT_SESSION).map_err(|error| Error::Session(error.to_string()))?;
    coordinator(config(settings, id, &Workspace::default())?).map(drop)
}

pub(super) fn coordinator(config: SessionConfig) -> Result<Coordinator, Error> {
    // The standard library's hash keys are random: enough for ids, which need to differ and not to be secret.
    let seed = RandomState::new().hash_one(());
    Coordinator::new(config, IdSource::new(seed), clock::now())
        .map_err(|error| Error::Session(error.to_string()))
}

fn config(settings: &Settings, id: SessionId, workspace: &Workspace) -> Result<SessionConfig, Error> {
    let mut config = SessionConfig::new(id);
    config.level = settings.protocol_level;
    config.security_profile = settings.security_profile.clone();
    config.compliance_profile = settings.compliance_profile.clone();
    config.execution_model = settings.execution_model.clone();
    config.role_policy = settings.role_policy.as_deref().map(role_policy).transpose()?;
    config.liveness.heartbeat_interval_sec = Some(settings.heartbeat_interval_sec.clone());
    config.liveness.unavailability_timeout_sec = Some(settings.unavailability_timeout_sec.clone());
    config.liveness.intent_claim_grace_period_sec = Some(settings.intent_claim_grace_sec.clone());
    config.governance.resolution_timeout_sec = Some(settings.resolution_timeout_sec.clone());
    config.default_intent_ttl_sec = settings.default_intent_ttl_sec.clone();
    config.limits.max_bytes = settings.max_frame_bytes as usize;
    let refs = workspace.files().map(|(path, file)| (path.to_owned(), file.state_ref.clone()));
    config.workspace = refs.collect();
    Ok(config)
}

/// JSON text, or the name of a file that holds it.
fn role_policy(given: &str) -> Result<RolePolicy, Error> {
    let inline = given.trim_start().starts_with('{');
    let (origin, text) = if inline {
        ("the JSON given".to_owned(), given.to_owned())
    } else {
        let text = std::fs::read_to_string(given).map_err(|error| {
            Error::RolePolicy(format!("{given}: {error}; name a JSON file, or give the JSON itself"))
        })?;
        (given.to_owned(), text)
    };
    serde_json::from_str(&text).map_err(|error| Error::RolePolicy(format!("{origin}: {error}")))
}
