//! `audit export`: the transcript of a session (SES-20, D-034), and the hash chain beside it.
//!
//! The chain is a file of its own because the transcript of an open session has exactly the seven members of the
//! specification, and nothing else; `log_chain` belongs to verified sessions (D-034, D-130).

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mpac_core::Output;
use mpac_wire::redact::without_free_text;
use mpac_wire::transcript::{Crossed, Transcript};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::access::{self, Shows};
use super::lived::{Lived, live};
use super::problem::Problem;
use super::which;
use crate::cli::audit::Export;
use crate::clock;
use crate::store::entry::Entry;
use crate::store::input::Stored;
use crate::store::log::Found;

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

    let mut messages: Vec<(String, u64)> = Vec::new();
    let mut failed = None;
    let (replay, _) = live(&which.dir, None, &mut |lived| {
        crossed(lived, &mut messages);
        if let Some(chain) = &mut chain {
            failed = failed.take().or_else(|| chain.link(lived.found, options.redact).err());
        }
    })?;
    if let (Some(source), Some(path)) = (failed, &options.chain) {
        return Err(Problem::Dir { path: path.clone(), source });
    }
    let Some((coordinator, _)) = replay.session() else {
        return Err(Problem::Log { path: which.dir, reason: "nothing happened in it".to_owned() });
    };
    let crossed = messages.iter().map(|(text, clock)| Crossed { text, clock: *clock });
    let transcript = Transcript::export(coordinator.snapshot(), clock::now(), crossed);
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

/// The messages of one entry in either direction: what came, and what the coordinator said. A relay is what came.
fn crossed(lived: &Lived<'_>, messages: &mut Vec<(String, u64)>) {
    let Some((coordinator, _)) = lived.replay.session() else { return };
    let clock = coordinator.view().lamport();
    if let Entry::Input(happened) = lived.entry
        && let Stored::Frame { text, .. } = happened.input()
    {
        messages.push((text.clone(), clock));
    }
    messages.extend(lived.outputs.iter().filter_map(|output| match output {
        Output::Send { envelope, .. } => Some((envelope.to_json(), clock)),
        _ => None,
    }));
}

/// A file that is there as a whole, and was not there before, or not at all.
struct New {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl New {
    fn file(path: &Path) -> Result<Self, Problem> {
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

    fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        self.file.write_all(bytes).map_err(|source| dir_problem(&self.path, source))
    }

    fn keep(self) -> Result<(), Problem> {
        let failed = |source| dir_problem(&self.path, source);
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        let kept: File = file.persist_noclobber(&self.path).map_err(|error| failed(error.error))?;
        kept.sync_all().map_err(failed)
    }
}

fn dir_problem(path: &Path, source: io::Error) -> Problem {
    Problem::Dir { path: path.to_owned(), source }
}
