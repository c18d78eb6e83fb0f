//! From the server's settings to a session that can run.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use mpac_core::{ConfigError, Coordinator, IdSource, SessionConfig};
use mpac_wire::SessionId;
use mpac_wire::names::SecurityProfile;
use mpac_wire::policy::RolePolicy;
use tokio::sync::Semaphore;
use tracing::warn;

use super::Session;
use super::deliver::Delivery;
use crate::banner::DEFAULT_SESSION;
use crate::cli::Settings;
use crate::clock;
use crate::drive;
use crate::error::Error;
use crate::registry::Tenancy;
use crate::workspace::Workspace;
use crate::workspace::write_back::Mirror;
use crate::workspace::writer::Writer;

/// What every session of a server starts from; one that could not be opened is refused when it is made.
#[derive(Debug)]
pub(crate) struct Template {
    config: SessionConfig,
    workspace: Workspace,
    write_back: bool,
}

impl Template {
    /// # Errors
    /// When the core refuses the configuration, or the role policy cannot be read.
    pub(crate) fn new(settings: &Settings, workspace: Workspace) -> Result<Self, Error> {
        let config = config(settings, &workspace)?;
        coordinator(config.clone())?;
        if config.lacks_arbiter() {
            warn!("role_policy assigns the role arbiter to nobody: no escalated conflict can be settled"); // D-047
        }
        Ok(Self { config, workspace, write_back: settings.write_back })
    }

    /// A session that exists from now on, or, where `places` counts the open ones, from its first accepted HELLO (D-031).
    ///
    /// # Errors
    /// When the core refuses the configuration.
    pub(crate) fn session(
        &self,
        id: SessionId,
        places: Option<Arc<Semaphore>>,
        tenancy: Tenancy,
    ) -> Result<Session, Error> {
        let mut config = self.config.clone();
        config.session_id = id.clone();
        config.opens_with_hello = places.is_some();
        let (open, max_frame) = (!config.opens_with_hello, config.limits.max_bytes);
        let mirror = if self.write_back { Mirror::of(&self.workspace) } else { None };
        let delivery = Delivery::new(id, self.workspace.clone(), mirror.map(Writer::start), max_frame, open);
        let limits = config.limits.clone();
        Ok(Session { core: coordinator(config)?, places, place: None, limits, tenancy, delivery })
    }
}

fn coordinator(config: SessionConfig) -> Result<Coordinator, Error> {
    // The standard library's hash keys are random: enough for ids, which need to differ and not to be secret.
    let seed = RandomState::new().hash_one(());
    Coordinator::new(config, IdSource::new(seed), clock::now())
        .map_err(|error| Error::Session(error.to_string()))
}

fn config(settings: &Settings, workspace: &Workspace) -> Result<SessionConfig, Error> {
    let id = settings.session.as_deref().unwrap_or(DEFAULT_SESSION);
    let id = SessionId::new(id).map_err(|error| Error::Session(format!("--session: {error}")))?;
    let mut config = SessionConfig::new(id);
    // The core could run it, but nothing here verifies a credential yet.
    if settings.security_profile != SecurityProfile::Open {
        let value = settings.security_profile.as_str().to_owned();
        let error = ConfigError::Unsupported { option: "security_profile", value };
        return Err(Error::Session(error.to_string()));
    }
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
    if let Some(given) = &settings.session_config {
        let (origin, text) = json(given).map_err(Error::SessionConfig)?;
        config = drive::session_config(&text, config)
            .map_err(|problem| Error::SessionConfig(format!("{origin}: {problem}")))?;
    }
    // A directory is a workspace also while it is empty (OCC-17).
    config.workspace = settings.workspace.is_some().then(|| workspace.refs());
    Ok(config)
}

fn role_policy(given: &str) -> Result<RolePolicy, Error> {
    let (origin, text) = json(given).map_err(Error::RolePolicy)?;
    drive::role_policy(&text).map_err(|problem| Error::RolePolicy(format!("{origin}: {problem}")))
}

/// JSON text, or the name of a file that holds it: where it comes from, and the text.
fn json(given: &str) -> Result<(String, String), String> {
    if given.trim_start().starts_with('{') {
        return Ok(("the JSON given".to_owned(), given.to_owned()));
    }
    if given.trim().is_empty() {
        return Err("no name; name a JSON file, or give the JSON itself".to_owned());
    }
    let text = std::fs::read_to_string(given)
        .map_err(|error| format!("{given}: {error}; name a JSON file, or give the JSON itself"))?;
    // Some editors write a byte order mark in front, which is no JSON.
    Ok((given.to_owned(), text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()))
}
