//! `audit replay`: a session as it stood after an entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::access::{self, Shows};
use super::lived::{Lived, live};
use super::problem::Problem;
use super::{view, which};
use crate::cli::audit::Replay;
use crate::store::entry::Entry;
use crate::store::kept::Kept;
use crate::workspace::path::{components, in_the_way, stands_for_git};
use crate::workspace::write_back::{Refused, Step};

/// Shows it, or writes its files.
pub(super) fn replay(options: &Replay, out: &mut dyn Write) -> Result<(), Problem> {
    let which = which::one(&options.place)?;
    let shows = if options.files.is_some() { Shows::Contents } else { Shows::Events };
    access::note(&which, "audit replay", shows)?;
    if let Some(dir) = &options.files {
        be_empty(dir)?;
    }
    let mut first = Shared::default();
    let (replay, end) = live(&which.dir, options.until, &mut |lived| first.visit(lived))?;
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
        Some(dir) if options.json => write_files(dir, kept, &first, &mut io::stderr()),
        Some(dir) => write_files(dir, kept, &first, out),
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

/// Files that were shared before anybody committed them. From a restart on, the configuration names what was committed as well.
#[derive(Default)]
struct Shared(Option<BTreeSet<String>>);

impl Shared {
    fn visit(&mut self, lived: &Lived<'_>) {
        let Some((_, kept)) = lived.replay.session() else { return };
        let names = || kept.config.workspace.iter().flat_map(BTreeMap::keys);
        match (&mut self.0, lived.entry) {
            (None, _) => self.0 = Some(names().cloned().collect()),
            (Some(shared), Entry::TakeUp(_)) => {
                let committed: BTreeSet<&str> = kept.contents().map(|(name, ..)| name).collect();
                shared.extend(names().filter(|name| !committed.contains(name.as_str())).cloned());
            }
            _ => {}
        }
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.contains(name))
    }
}

fn write_files(dir: &Path, kept: &Kept, first: &Shared, out: &mut dyn Write) -> Result<(), Problem> {
    let shared = kept.config.workspace.as_ref();
    // Where two cannot be in one directory, what was shared before keeps its place.
    let (before, since): (Vec<_>, Vec<_>) = kept.contents().partition(|(name, ..)| first.has(name));
    let (mut written, mut alone) = (BTreeMap::new(), Vec::new());
    for (name, content, _) in before.into_iter().chain(since) {
        match write_file(dir, name, content, &written) {
            Ok(()) => drop(written.insert(name.to_owned(), ())),
            Err(refused) if refused.is_for_good() => alone.push(format!("{name:?}: {refused}")),
            Err(refused) => {
                return Err(Problem::Unwritten { name: name.to_owned(), reason: refused.to_string() });
            }
        }
    }
    let committed: BTreeSet<&str> = kept.contents().map(|(name, ..)| name).collect();
    let more =
        match shared.into_iter().flatten().filter(|(name, _)| !committed.contains(name.as_str())).count() {
            0 => String::new(),
            n => format!("; {n} shared files that nobody had committed are not in the log"),
        };
    let told = |out: &mut dyn Write| {
        writeln!(out, "{} files written into {}{more}", written.len(), dir.display())?;
        alone.iter().try_for_each(|refused| writeln!(out, "in the log alone: {refused}"))
    };
    told(out).map_err(Problem::Output)
}

/// Where workspaces leave names out, this does not: it is asked for what was committed. But for what git and Mercurial would run.
fn write_file(dir: &Path, name: &str, content: &str, written: &BTreeMap<String, ()>) -> Result<(), Refused> {
    let parts = components(name).ok_or(Refused::Outside)?;
    if let Some(run) = parts.iter().find(|part| stands_for_git(part) || part.eq_ignore_ascii_case(".hg")) {
        return Err(Refused::Ignored((*run).to_owned()));
    }
    if let Some(other) = in_the_way(name, written) {
        return Err(Refused::Beside(other.to_owned()));
    }
    let path = parts.iter().fold(dir.to_owned(), |path, part| path.join(part));
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(|error| Refused::Io(Step::Directory, error))?;
    }
    fs::write(path, content).map_err(|error| Refused::Io(Step::Replace, error))
}
