//! From the server's settings to a session that can run.

mod requirements;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;

use mpac_core::config::CredentialRoles;
use mpac_core::{Command, Coordinator, Input, SessionConfig};
use mpac_wire::names::SecurityProfile;
use mpac_wire::policy::RolePolicy;
use mpac_wire::{Integer, PublicKey, SessionId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{info, warn};

use super::Session;
use super::alarm::Alarm;
use super::deliver::{Delivery, Voice};
use super::events::Events;
use super::snapshots::Snapshots;
use crate::banner::DEFAULT_SESSION;
use crate::cli::Settings;
use crate::clock;
use crate::drive;
use crate::error::{Error, in_words};
use crate::fencing::Above;
use crate::metrics::Meters;
use crate::rate::Everybody;
use crate::registry::Tenancy;
use crate::signing::key_file::{Keys, SigningKeyError};
use crate::signing::known::Known;
use crate::signing::ring::Ring;
use crate::signing::signer::Signer;
use crate::store::base;
use crate::store::entry::{Entry, Happened, Start, Unusable};
use crate::store::journal::{Begin, Journal};
use crate::store::kept::{Kept, Restored};
use crate::store::log::Log;
use crate::store::replay::Replay;
use crate::store::seal::Sealer;
use crate::store::{Store, Stored};
use crate::workspace::unmerged::Unmerged;
use crate::workspace::write_back::Mirror;
use crate::workspace::writer::Writer;
use crate::workspace::{File, Workspace};

/// Files that a start names of those that are alike.
const NAMED: usize = 10;

/// What every session of a server starts from; one that could not be opened is refused when it is made.
#[derive(Debug)]
pub(crate) struct Template {
    config: SessionConfig,
    workspace: Workspace,
    /// What of it is in the directory, and what only in the data directory of a copy.
    on_disk: Workspace,
    added: Vec<(String, File)>,
    write_back: bool,
    /// Files beside which the server before wrote commits.
    unmerged: Unmerged,
    /// What its coordinators sign with; open ones sign nothing.
    ring: Option<Ring>,
    meters: Meters,
    /// Outside open sessions, where a name is proven.
    paces: Option<Arc<Everybody>>,
}

impl Template {
    /// Its sessions are signed with a key of their own, until [`Template::signing`] says otherwise.
    ///
    /// # Errors
    /// When the core refuses the configuration, or the role policy cannot be read.
    pub(crate) fn new(settings: &Settings, workspace: Workspace) -> Result<Self, Error> {
        let mut config = config(settings, &workspace)?;
        let is_open = config.security_profile == SecurityProfile::Open;
        let ring = if is_open { None } else { Some(Ring::new(Keys::fresh()?)) };
        config.coordinator_key = ring.as_ref().map(|ring| ring.current().public().clone());
        requirements::met(settings, &config)?;
        config.validate().map_err(|error| Error::Session(error.to_string()))?;
        if config.lacks_arbiter() {
            warn!("role_policy assigns the role arbiter to nobody: no escalated conflict can be settled"); // D-047
        }
        let (on_disk, added) = (workspace.clone(), Vec::new());
        let meters = Meters::default();
        let guards = &settings.guards;
        let paces = (!config.is_open())
            .then(|| Everybody::new(guards.principal_rate_per_sec, guards.principal_rate_burst));
        let (write_back, unmerged) = (settings.write_back, Unmerged::default());
        Ok(Self { config, workspace, on_disk, added, write_back, unmerged, meters, paces, ring })
    }

    /// With these keys, where its sessions are signed.
    ///
    /// # Errors
    /// Those of `keys`, which is asked only then.
    pub(crate) fn signing(
        mut self,
        keys: impl FnOnce() -> Result<Keys, SigningKeyError>,
    ) -> Result<Self, Error> {
        if self.ring.is_some() {
            self.ring = Some(Ring::new(keys()?));
        }
        Ok(self)
    }

    /// What its coordinators sign with, if they do.
    pub(crate) const fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// With the files that a data directory has and the shared one lacks: it is a copy of another server's. And with what it says
    /// of commits that were not merged.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn completed(mut self, data: &Path) -> Result<Self, Error> {
        let failed = |source| Error::DataDir { path: data.to_owned(), source };
        self.added = base::complete(data, &mut self.workspace).map_err(failed)?;
        if self.write_back {
            self.unmerged = Unmerged::read(data).map_err(failed)?;
        }
        if !self.added.is_empty() {
            self.config.workspace = Some(self.workspace.refs());
            self.config.workspace_sizes = self.workspace.sizes();
        }
        Ok(self)
    }

    /// What sessions count.
    pub(crate) const fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The shared files as sessions begin with them.
    pub(crate) const fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// What sessions are opened with: flags, and what `--session-config` says over them.
    pub(crate) const fn configured(&self) -> &SessionConfig {
        &self.config
    }

    /// A session that exists from now on, or, where `places` counts the open ones, from its first accepted HELLO (D-031).
    ///
    /// # Errors
    /// When the core refuses the configuration, or its log cannot be begun.
    pub(crate) fn session(
        &self,
        id: SessionId,
        tenure: Tenure,
        store: Option<&Arc<Store>>,
    ) -> Result<Session, Error> {
        let config = self.config(id.clone(), &tenure);
        let start = Start::new(&config, seed(), clock::now()).map_err(unusable)?;
        let core = start.open().map_err(unusable)?;
        let journal = match store {
            None => Journal::Off,
            Some(store) => {
                let begin = Begin::of(store, id);
                let journal = Journal::unopened(begin, self.sealer(&core, &config), Entry::Open(start));
                if config.opens_with_hello { journal } else { journal.begun().map_err(Error::log)? }
            }
        };
        let delivery = self.delivery(&core, &config, self.workspace.clone());
        delivery.write(self.added.clone());
        Ok(assembled(core, Kept::new(config), tenure, delivery, journal))
    }

    /// A stored session that goes on, under the next epoch, which is in its log when this returns (REC-12); under one above
    /// `above`, where somebody else has had it meanwhile (REC-27). `None` where there is none that could: closed ones are over.
    ///
    /// # Errors
    /// When its log is damaged, or it was opened under a configuration that this one contradicts.
    pub(crate) fn stored(
        &self,
        stored: &Stored,
        store: &Store,
        above: &Above,
    ) -> Result<Option<Goes>, Error> {
        let Some((mut log, mut replay)) = stored.resume(store.durability())? else { return Ok(None) };
        let Some((before, kept)) = replay.session() else { return Ok(None) };
        if before.view().is_closed() {
            return Ok(None);
        }
        let id = kept.config.session_id.clone();
        let files = kept.files(&self.workspace, self.write_back.then_some(&self.unmerged));
        for path in &files.changed {
            warn!("[{id}] {path:?} was changed in the directory by somebody else: what is there now counts");
        }
        let config = self.config_with(id.clone(), &files.workspace);
        let refused =
            |reason| Error::NotTakenUp { path: stored.dir.clone(), session: id.to_string(), reason };
        self.can_sign(before).map_err(refused)?;
        let start = Start::new(&config, seed(), clock::now()).map_err(|error| refused(error.to_string()))?;
        log = log.reporting(store.durable()).sealed_by(self.sealer(before, &config));
        if let Some(epoch) = above.of(&id, before.epoch()).filter(|&epoch| epoch > before.epoch()) {
            fence(&mut log, &mut replay, epoch)?;
        }
        replay.follow(Entry::TakeUp(start.clone())).map_err(refused)?;
        let Some((core, kept)) = replay.into_session() else { return Ok(None) };
        log.append(&[Entry::TakeUp(start)]).map_err(|error| Error::log(error.into()))?;
        info!("[{id}] goes on from its log as epoch {}", core.epoch());
        Ok(Some(Goes { id, core, kept, log, files }))
    }

    /// Who seals the log of a session: its coordinator, where it has a key.
    fn sealer(&self, core: &Coordinator, config: &SessionConfig) -> Option<Sealer> {
        let key = self.ring.as_ref()?.get(&core.view().coordinator_key()?.fingerprint())?;
        Some(Sealer::new(config.session_id.clone(), key))
    }

    /// Whether the key is here that a session says it goes on with: participants believe no other.
    pub(crate) fn can_sign(&self, core: &Coordinator) -> Result<(), String> {
        let (Some(key), Some(ring)) = (core.view().coordinator_key(), &self.ring) else { return Ok(()) };
        let (wanted, have) = (key.fingerprint(), ring.current().public().fingerprint());
        match ring.get(&wanted) {
            Some(_) => Ok(()),
            None => Err(format!(
                "its coordinator signs with the key {wanted}, and this server has {have}: put the file signing-key.pem of the \
                 server that had the session into the data directory, or name it with --signing-key"
            )),
        }
    }

    /// Whether a session that somebody else has could go on here: the reason where it could not.
    pub(crate) fn could_go_on(&self, core: &Coordinator, kept: &Kept) -> Result<(), String> {
        self.can_sign(core)?;
        let id = kept.config.session_id.clone();
        let files = kept.files(&self.workspace, None);
        let config = self.config_with(id, &files.workspace);
        let start = Start::new(&config, 0, clock::now()).map_err(|error| error.to_string())?;
        start.take_up(core).map(drop).map_err(|error| error.to_string())
    }

    /// The task of a session that goes on.
    pub(crate) fn going_on(&self, goes: Goes, tenure: Tenure) -> Session {
        let Goes { id, core, kept, log, mut files } = goes;
        for (path, file) in &self.added {
            let is_current = files.workspace.get(path).is_some_and(|now| now.state_ref == file.state_ref);
            if is_current && files.unwritten.iter().all(|(other, _)| other != path) {
                files.unwritten.push((path.clone(), file.clone()));
            }
        }
        if self.write_back {
            let alone = files.leave_out(&self.on_disk);
            // Whoever was told when they were committed need not be here, and the server may not have written back then.
            let alone = alone.iter().map(in_words).collect();
            name(&id, "in the log alone, because the directory cannot hold it", alone);
            let behind = files.unwritten.iter().filter(|(path, _)| self.on_disk.get(path).is_some());
            let behind = behind.map(|(path, _)| format!("{path:?}")).collect();
            name(&id, "in the directory as before a commit, which is written over it now", behind);
        }
        let delivery = self.delivery(&core, &kept.config, files.workspace);
        delivery.write(files.unwritten);
        assembled(core, kept, tenure, delivery, Journal::on(log))
    }

    fn config(&self, id: SessionId, tenure: &Tenure) -> SessionConfig {
        let mut config = self.config.clone();
        config.session_id = id;
        config.opens_with_hello = tenure.places.is_some() && tenure.place.is_none();
        config.coordinator_key = self.ring.as_ref().map(|ring| ring.current().public().clone());
        config
    }

    /// Of one that goes on with these files.
    fn config_with(&self, id: SessionId, workspace: &Workspace) -> SessionConfig {
        let mut config = self.config(id, &Tenure::default());
        if config.workspace.is_some() {
            config.workspace = Some(workspace.refs());
            config.workspace_sizes = workspace.sizes();
        }
        config
    }

    fn delivery(&self, core: &Coordinator, config: &SessionConfig, workspace: Workspace) -> Delivery {
        // What the directory holds, which after a restart may be less than what was committed.
        let mirror = if self.write_back { Mirror::of(&self.on_disk) } else { None };
        let mirror = mirror.map(|mirror| mirror.noting(self.unmerged.anew(&config.session_id)));
        let (max_frame, open) = (config.limits.max_bytes, !config.opens_with_hello);
        let key = core.view().coordinator_key().map(PublicKey::fingerprint);
        let signer = self.ring.clone().zip(key).map(|(ring, key)| Signer::new(ring, key));
        let voice = Voice::new(signer, config.security_profile == SecurityProfile::Verified);
        let events = Events::new(config.session_id.clone());
        let writer = mirror.map(Writer::start);
        Delivery::new((events, self.meters.clone()), workspace, writer, max_frame, open)
            .paced(self.paces.clone())
            .signed(voice)
    }
}

/// Says of some files what is so, and names the first of them.
fn name(session: &SessionId, what: &str, mut files: Vec<String>) {
    if files.is_empty() {
        return;
    }
    let more = files.len().saturating_sub(NAMED);
    files.truncate(NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    warn!("[{session}] {what}: {}{more}", files.join(", "));
}

fn assembled(core: Coordinator, kept: Kept, tenure: Tenure, delivery: Delivery, journal: Journal) -> Session {
    let Tenure { places, place, waits, known, tenancy } = tenure;
    let config = &kept.config;
    let snapshots = Snapshots::new(config.session_id.clone(), &config.heartbeat_interval());
    let (coordinator, limits) = (config.coordinator_id(), config.limits.clone());
    let (closing, asked, unkept, failed) = (false, Vec::new(), None, None);
    Session {
        core,
        coordinator,
        places,
        place,
        waits,
        limits,
        known,
        tenancy,
        delivery,
        journal,
        kept,
        snapshots,
        alarm: Alarm::default(),
        closing,
        asked,
        unkept,
        applies: Coordinator::apply,
        failed,
    }
}

/// Notes that somebody else has the session under this epoch.
fn fence(log: &mut Log, replay: &mut Replay, epoch: u64) -> Result<(), Error> {
    let Some((before, _)) = replay.session() else { return Ok(()) };
    let mut core = before.clone();
    let record = core.stamp(clock::now(), Input::Command(Command::Fence { epoch }));
    let step = core.apply(&record).map_err(|error| Error::Session(error.to_string()))?;
    let entry = Entry::Input(Happened::new(&record, step.digest()).map_err(unusable)?);
    log.append(std::slice::from_ref(&entry)).map_err(|error| Error::log(error.into()))?;
    replay.follow(entry).map_err(Error::Session)
}

/// What a session has of its server.
#[derive(Debug, Default)]
pub(crate) struct Tenure {
    /// Where open sessions are counted; a configured session needs no place.
    pub(crate) places: Option<Arc<Semaphore>>,
    /// The place that a session has which was open before the server.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// The place of one that waits for its first HELLO.
    pub(crate) waits: Option<OwnedSemaphorePermit>,
    /// Keys of participants, which its connections look for.
    pub(crate) known: Known,
    pub(crate) tenancy: Tenancy,
}

/// A session that can go on from where its log ends.
#[derive(Debug)]
pub(crate) struct Goes {
    pub(crate) id: SessionId,
    core: Coordinator,
    kept: Kept,
    log: Log,
    files: Restored,
}

/// The standard library's hash keys are random: enough for ids, which need to differ and not to be secret.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(())
}

fn unusable(error: Unusable) -> Error {
    Error::Session(error.to_string())
}

fn config(settings: &Settings, workspace: &Workspace) -> Result<SessionConfig, Error> {
    let id = settings.session.as_deref().unwrap_or(DEFAULT_SESSION);
    let id = SessionId::new(id).map_err(|error| Error::Session(format!("--session: {error}")))?;
    let mut config = SessionConfig::new(id);
    config.level = settings.protocol_level;
    config.security_profile = settings.security.security_profile.clone();
    // A key says what it grants, and the role policy has its say where there is one (ROL-10).
    if config.security_profile != SecurityProfile::Open {
        config.credential_roles = CredentialRoles::Limit;
    }
    config.compliance_profile = settings.compliance_profile.clone();
    config.execution_model = settings.execution_model.clone();
    config.role_policy = settings.role_policy.as_deref().map(role_policy).transpose()?;
    config.liveness.heartbeat_interval_sec = Some(settings.heartbeat_interval_sec.clone());
    config.liveness.unavailability_timeout_sec = Some(settings.unavailability_timeout_sec.clone());
    config.liveness.intent_claim_grace_period_sec = Some(settings.intent_claim_grace_sec.clone());
    config.governance.resolution_timeout_sec = Some(settings.resolution_timeout_sec.clone());
    config.default_intent_ttl_sec = settings.default_intent_ttl_sec.clone();
    config.limits.max_bytes = settings.max_frame_bytes as usize;
    config.workspace_limits.max_bytes = settings.max_workspace_bytes;
    config.workspace_limits.max_files = settings.guards.max_workspace_files as usize;
    if let Some(given) = &settings.session_config {
        let (origin, text) = json(given).map_err(Error::SessionConfig)?;
        config = drive::session_config(&text, config)
            .map_err(|problem| Error::SessionConfig(format!("{origin}: {problem}")))?;
    }
    if config.default_intent_ttl_sec.micros() <= 0 {
        return Err(Error::Session(
            "--default-intent-ttl-sec, or default_intent_ttl_sec of --session-config: an intent that says nothing of its time would \
             be over with its announcement; give more than 0"
                .to_owned(),
        ));
    }
    if let (None, Some(days)) =
        (&config.lifecycle.audit_retention_days, settings.keeping.audit_retention_days)
    {
        config.lifecycle.audit_retention_days = Some(Integer::new(days.into()));
    }
    // A directory is a workspace also while it is empty (OCC-17).
    config.workspace = settings.workspace.is_some().then(|| workspace.refs());
    config.workspace_sizes = workspace.sizes();
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
