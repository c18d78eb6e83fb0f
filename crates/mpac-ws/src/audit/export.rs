//! `audit export`: the transcript of a session (SES-20, D-034), and the hash chain beside it.
//!
//! The chain of the log is a file of its own because the transcript of an open session has exactly the seven members of the
//! specification, and nothing else. That of a verified one has `log_chain` too, the chain of its messages (D-034, D-130).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mpac_wire::names::SecurityProfile;
use mpac_wire::redact::without_free_text;
use mpac_wire::transcript::Transcript;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::access::{self, Shows};
use super::gather::{Gathered, signing_keys};
use super::lived::{follow, open};
use super::problem::Problem;
use super::which;
use crate::cli::audit::Export;
use crate::clock;
use crate::store::log::Found;

/// Said where what is left of a verified session cannot be verified.
const UNVERIFIABLE: &str = "note: signatures cover what --redact leaves out, so the messages cannot be verified by them any more, \
and there is no log_chain; `mpac-ws audit bundle` makes what can be verified";

/// One line of the chain.
#[derive(Serialize)]
struct Link<'a> {
    n: u64,
    /// The checksum of the entry before; 64 zeros before the first.
    prev: &'a str,
    /// SHA-256 of `record`.
    checksum: &'a str,
    /// The entry as it is in the log; left out of a redacted export.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
}

/// Writes the transcript, and the chain where that is asked for.
pub(super) fn export(options: &Export, out: &mut dyn Write) -> Result<(), Problem> {
    let which = which::one(&options.place)?;
    access::note(&which, "audit export", Shows::Contents)?;
    let mut chain = options.chain.as_deref().map(New::file).transpose()?;
    let target = options.output.as_deref().map(New::file).transpose()?;

    let reading = open(&which.dir)?;
    let unusable = |reason: String| Problem::Log { path: which.dir.clone(), reason };
    let before = reading.replay().map_err(unusable)?;
    let mut gathered = Gathered::along(&before, signing_keys(&which, options.signing_key.as_deref())?);
    let mut failed = None;
    let (replay, _) = follow(&reading, &which.dir, None, &mut |lived| {
        failed = failed.take().or_else(|| gathered.take(lived).err().map(io::Error::from));
        if let Some(chain) = &mut chain {
            failed = failed.take().or_else(|| chain.link(lived.found, options.redact).err());
        }
    })?;
    if let Some(source) = failed {
        return Err(Problem::Dir {
            path: options.chain.clone().unwrap_or_else(|| which.dir.clone()),
            source,
        });
    }
    let Some((coordinator, kept)) = replay.session() else {
        return Err(unusable("nothing happened in it".to_owned()));
    };
    let mut transcript = Transcript::export(coordinator.snapshot(), clock::now(), gathered.messages());
    if kept.config.security_profile == SecurityProfile::Verified {
        if options.redact {
            // Whoever closed stderr does not want to know.
            let _ = writeln!(io::stderr(), "{UNVERIFIABLE}");
        } else {
            gathered.is_signed(&which, options.signing_key.as_deref())?;
            transcript.log_chain = Some(gathered.links);
        }
    }
    let unwritten = |error| Problem::Output(io::Error::other(error));
    let mut text = serde_json::to_string(&transcript).map_err(unwritten)?;
    if options.redact {
        text =
            without_free_text(&text).map_err(|error| Problem::Output(io::Error::other(error.to_string())))?;
    }
    text.push('\n');
    if let Some(chain) = chain {
        chain.keep()?;
    }
    match target {
        Some(mut file) => {
            file.write(text.as_bytes())?;
            file.keep()
        }
        None => out.write_all(text.as_bytes()).map_err(Problem::Output),
    }
}

/// A file that is there as a whole, and was not there before, or not at all.
pub(super) struct New {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl New {
    pub(super) fn file(path: &Path) -> Result<Self, Problem> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Problem::Occupied(path.to_owned()));
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        // Only its owner may read it, like the log it comes from.
        let file = NamedTempFile::new_in(dir).map_err(|source| dir_problem(path, source))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    fn link(&mut self, found: &Found<'_>, redact: bool) -> io::Result<()> {
        let record = (!redact).then_some(found.json);
        let link = Link { n: found.n, prev: found.prev, checksum: found.sum, record };
        let line = serde_json::to_string(&link).map_err(io::Error::other)?;
        writeln!(self.file, "{line}")
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(|source| dir_problem(&self.path, source))
    }

    pub(super) fn keep(self) -> Result<(), Problem> {
        let failed = |source| dir_problem(&self.path, source);
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        let kept: File = file.persist_noclobber(&self.path).map_err(|error| failed(error.error))?;
        kept.sync_all().map_err(failed)
    }
}

fn dir_problem(path: &Path, source: io::Error) -> Problem {
    Problem::Dir { path: path.to_owned(), source }
}
