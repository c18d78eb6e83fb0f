//! `audit bundle`: everything that an auditor needs, in one file.
//!
//! `fixtures/evidence/README.md` describes the format, for those who write another verifier.

use std::fs;
use std::io::Write;
use std::path::Path;

use mpac_wire::names::SecurityProfile;
use mpac_wire::payload::ParticipantKey;
use mpac_wire::transcript::Transcript;
use mpac_wire::{SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::head::Head;
use super::key_book::{KeyBook, OwnKey};
use crate::audit::access::{self, Shows};
use crate::audit::export::New;
use crate::audit::gather::{Gathered, signing_keys};
use crate::audit::lived::{follow, open};
use crate::audit::problem::Problem;
use crate::audit::which::{self, Which};
use crate::cli::evidence::Bundle as Options;
use crate::store::reading::Begins;
use crate::store::snapshot::Position;
use crate::{PROGRAM, clock};

/// The format, and its version.
const FORMAT: &str = "mpac-evidence-1";

/// Everything, as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bundle {
    /// [`FORMAT`].
    evidence: String,
    pub(super) session_id: SessionId,
    #[serde(rename = "made_at")]
    _made_at: Timestamp,
    /// What made it.
    #[serde(rename = "program")]
    _program: String,
    /// By which the coordinator vouches for `transcript.log_chain` and `log` as wholes.
    pub(super) head: Head,
    pub(super) coordinator_keys: Vec<OwnKey>,
    /// As they were told to the participants.
    #[serde(rename = "participant_keys")]
    _participant_keys: Vec<ParticipantKey>,
    /// Where what is kept begins, if that is not where the session began, and how it stood there.
    #[serde(default)]
    pub(super) begins: Option<Begins>,
    #[serde(default)]
    pub(super) base: Option<String>,
    /// Every record of the log as it is written: its checksum is the SHA-256 of this text.
    pub(super) log: Vec<String>,
    /// As `audit export` gives it (D-034), with `log_chain`.
    transcript: Box<RawValue>,
}

/// What of a transcript is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Exported {
    pub(super) session_id: SessionId,
    pub(super) messages: Vec<Box<RawValue>>,
    pub(super) log_chain: Vec<Box<RawValue>>,
}

/// The parts that come before the long ones.
#[derive(Serialize)]
struct Front<'a> {
    evidence: &'a str,
    session_id: &'a SessionId,
    made_at: Timestamp,
    program: &'a str,
    head: &'a Head,
    coordinator_keys: &'a [OwnKey],
    participant_keys: &'a [ParticipantKey],
    #[serde(skip_serializing_if = "Option::is_none")]
    begins: Option<&'a Begins>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a str>,
}

impl Bundle {
    /// The one in a file.
    ///
    /// # Errors
    /// When there is none, or it is of another format.
    pub(super) fn read(path: &Path) -> Result<Self, Problem> {
        let text =
            fs::read_to_string(path).map_err(|source| Problem::File { path: path.to_owned(), source })?;
        let unreadable = |reason: String| Problem::NoBundle { path: path.to_owned(), reason };
        let bundle: Self = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
        if bundle.evidence != FORMAT {
            return Err(unreadable(format!("its format is {:?}, and this reads {FORMAT}", bundle.evidence)));
        }
        Ok(bundle)
    }

    /// Its transcript.
    ///
    /// # Errors
    /// When there is none in it.
    pub(super) fn transcript(&self) -> serde_json::Result<Exported> {
        serde_json::from_str(self.transcript.get())
    }
}

/// Writes one.
pub(in crate::audit) fn bundle(options: &Options, out: &mut dyn Write) -> Result<(), Problem> {
    let which = which::one(&options.place)?;
    access::note(&which, "audit bundle", Shows::Contents)?;
    let mut file = New::file(&options.output)?;
    let text = of(&which, options.signing_key.as_deref(), clock::now())?;
    file.write(text.as_bytes())?;
    file.keep()?;
    let path = options.output.display();
    writeln!(
        out,
        "{path}: {} bytes; verify it with: mpac-ws audit verify --keys FILE --bundle {path}",
        text.len()
    )
    .map_err(Problem::Output)
}

/// The evidence of a session, signed as of `now`.
pub(super) fn of(which: &Which, named: Option<&Path>, now: Timestamp) -> Result<String, Problem> {
    let unusable = |reason: String| Problem::Log { path: which.dir.clone(), reason };
    let reading = open(&which.dir)?;
    let before = reading.replay().map_err(unusable)?;
    let mut gathered = Gathered::along(&before, signing_keys(which, named)?);
    let (mut book, mut log, mut failed) = (KeyBook::before(&before), Vec::new(), None);
    let mut end = Position { n: 0, sum: String::new() };
    let (replay, _) = follow(&reading, &which.dir, None, &mut |lived| {
        failed = failed.take().or_else(|| gathered.take(lived).err());
        book.note(lived);
        log.push(lived.found.json.to_owned());
        end = Position { n: lived.found.n, sum: lived.found.sum.to_owned() };
    })?;
    let Some((coordinator, kept)) = replay.session() else {
        return Err(unusable("nothing happened in it".to_owned()));
    };
    let Some(own) = coordinator.view().coordinator_key() else {
        return Err(Problem::NothingSigned { session: kept.config.session_id.to_string() });
    };
    if let Some(error) = failed {
        return Err(unusable(error.to_string()));
    }
    match kept.config.security_profile {
        SecurityProfile::Verified => gathered.is_signed(which, named)?,
        _ => gathered.has_keys(which, named)?,
    }
    let own = gathered.keys().and_then(|keys| keys.get(&own.fingerprint()));
    let own = own.ok_or_else(|| unusable("the coordinator's key is not there".to_owned()))?;
    let session_id = &kept.config.session_id;
    let head = Head::sign(session_id.clone(), now, &gathered.chain, &end, own);
    let head = head.map_err(|error| unusable(error.to_string()))?;
    let mut transcript = Transcript::export(coordinator.snapshot(), now, gathered.messages());
    let (coordinator_keys, participant_keys) = book.into_keys();
    let front = Front {
        evidence: FORMAT,
        session_id,
        made_at: now,
        program: PROGRAM,
        head: &head,
        coordinator_keys: &coordinator_keys,
        participant_keys: &participant_keys,
        begins: reading.begins(),
        base: None,
    };
    let base = reading.base_text().map_err(|error| unusable(error.to_string()))?;
    transcript.log_chain = Some(gathered.links);
    written(&Front { base: base.as_deref(), ..front }, &log, &transcript)
        .map_err(|error| unusable(error.to_string()))
}

/// One JSON object, with each record on a line of its own.
fn written(front: &Front<'_>, log: &[String], transcript: &Transcript) -> serde_json::Result<String> {
    let mut text = serde_json::to_string(front)?;
    text.pop();
    text.push_str(",\n\"log\":[");
    for (n, record) in log.iter().enumerate() {
        text.push_str(if n == 0 { "\n" } else { ",\n" });
        text.push_str(&serde_json::to_string(record)?);
    }
    text.push_str("\n],\n\"transcript\":");
    text.push_str(&serde_json::to_string(transcript)?);
    text.push_str("}\n");
    Ok(text)
}
