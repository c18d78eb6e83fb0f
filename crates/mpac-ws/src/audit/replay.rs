//! `audit replay`: a session as it stood after an entry.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::access::{self, Shows};
use super::lived::live;
use super::problem::Problem;
use super::{view, which};
use crate::cli::audit::Replay;
use crate::store::kept::Kept;
use crate::workspace::path::components;

/// Shows it, or writes its files.
pub(super) fn replay(options: &Replay, out: &mut dyn Write) -> Result<(), Problem> {
    let which = which::one(&options.place)?;
    let shows = if options.files.is_some() { Shows::Contents } else { Shows::Events };
    access::note(&which, "audit replay", shows)?;
    if let Some(dir) = &options.files {
        be_empty(dir)?;
    }
    let (replay, end) = live(&which.dir, options.until, &mut |_| {})?;
    let Some((coordinator, kept)) = replay.session() else {
        return Err(Problem::Log { path: which.dir, reason: "nothing happened in it".to_owned() });
    };
    if options.json {
        let snapshot = coordinator.snapshot();
        let text = serde_json::to_string_pretty(&snapshot)
            .map_err(|error| Problem::Output(io::Error::other(error)))?;
        writeln!(out, "{text}").map_err(Problem::Output)?;
    } else if options.view || options.files.is_none() {
        out.write_all(view::lines(coordinator, kept, end.n).as_bytes()).map_err(Problem::Output)?;
    }
    match &options.files {
        // Whoever reads the snapshot wants nothing else on its way.
        Some(dir) if options.json => write_files(dir, kept, &mut io::stderr()),
        Some(dir) => write_files(dir, kept, out),
        None => Ok(()),
    }
}

/// Makes sure that nothing is written over.
fn be_empty(dir: &Path) -> Result<(), Problem> {
    let failed = |source| Problem::Dir { path: dir.to_owned(), source };
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(1..) => Err(Problem::Occupied(dir.to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(dir).map_err(failed),
        Err(source) => Err(failed(source)),
    }
}

fn write_files(dir: &Path, kept: &Kept, out: &mut dyn Write) -> Result<(), Problem> {
    // All names first, so that a bad one leaves nothing behind.
    let mut files = Vec::new();
    for (name, content, _) in kept.contents() {
        let parts = components(name).ok_or_else(|| Problem::Outside(name.to_owned()))?;
        files.push((parts.iter().fold(dir.to_owned(), |path, part| path.join(part)), content));
    }
    for (path, content) in &files {
        let failed = |source| Problem::Dir { path: path.clone(), source };
        if let Some(above) = path.parent() {
            fs::create_dir_all(above).map_err(failed)?;
        }
        fs::write(path, content).map_err(failed)?;
    }
    let committed: BTreeSet<&str> = kept.contents().map(|(name, ..)| name).collect();
    let shared = kept.config.workspace.iter().flatten().map(|(name, _)| name.as_str());
    let more = match shared.filter(|name| !committed.contains(name)).count() {
        0 => String::new(),
        n => format!("; {n} shared files that nobody had committed are not in the log"),
    };
    writeln!(out, "{} files written into {}{more}", files.len(), dir.display()).map_err(Problem::Output)
}
