//! `mpac-ws audit`: what the logs of a data directory say, read and never changed.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::Verify;
use crate::error::Error;
use crate::store::reading::Reading;
use crate::store::{place, sessions};

/// Between two looks of whoever waits at a terminal.
const PROGRESS: Duration = Duration::from_millis(200);

/// Lives every session through again and says of each, on a line of its own, whether all of it matches (REC-14).
///
/// # Errors
/// When a log does not verify, or a data directory cannot be read.
pub fn verify(options: &Verify, out: &mut impl Write) -> Result<(), Error> {
    let failed = |source| Error::Io { step: "reading the data directory", source };
    let (mut bad, mut looked_at) = (0, 0);
    for data in data_dirs(options.data_dir.as_deref())? {
        let unreadable = |source| Error::DataDir { path: data.clone(), source };
        for dir in sessions(&data).map_err(unreadable)? {
            looked_at += 1;
            let line = match session(&dir) {
                Ok(line) => line,
                Err(reason) => {
                    bad += 1;
                    format!("BAD  {}: {reason}", dir.display())
                }
            };
            writeln!(out, "{line}").map_err(failed)?;
        }
    }
    if looked_at == 0 {
        writeln!(out, "no session is stored there").map_err(failed)?;
    }
    if bad == 0 { Ok(()) } else { Err(Error::NotVerified(bad)) }
}

fn data_dirs(given: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
    if let Some(dir) = given {
        return Ok(vec![dir.to_owned()]);
    }
    let all = place::all()?;
    let failed = |source| Error::DataDir { path: all.clone(), source };
    let mut dirs: Vec<PathBuf> = match std::fs::read_dir(&all) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    dirs.retain(|dir| dir.join("sessions").is_dir());
    dirs.sort();
    Ok(dirs)
}

fn session(dir: &Path) -> Result<String, String> {
    let reading = Reading::open(dir).map_err(|damage| damage.to_string())?;
    let mut replay = reading.replay()?;
    let mut progress = Progress::new(dir);
    let mut follow = |entry, _: &_| {
        progress.count();
        replay.follow(entry)
    };
    let (entries, torn) = reading.entries(&mut follow).map_err(|damage| damage.to_string())?;
    progress.clear();
    let Some((coordinator, kept)) = replay.session() else {
        return Ok(format!("ok   {}: nothing happened in it", dir.display()));
    };
    let state = if coordinator.view().is_closed() { ", closed" } else { "" };
    let mut more = String::new();
    if torn.is_some() {
        more.push_str("; its end is half written");
    }
    if let Some(begins) = reading.begins() {
        more.push_str(&format!("; from entry {} on: {}", begins.after + 1, begins.why));
    }
    for it in replay.repairs() {
        let at = it.at.to_string();
        more.push_str(&format!("; repaired at {at} ({}), what it was made from is in {}", it.way, it.aside));
    }
    Ok(format!(
        "ok   {}: session {}, {entries} entries, epoch {}, Lamport {}{state}{more}",
        dir.display(),
        kept.config.session_id,
        coordinator.epoch(),
        coordinator.view().lamport()
    ))
}

/// A line on the terminal that is written over, and nothing where there is no terminal.
struct Progress<'a> {
    dir: &'a Path,
    entries: u64,
    shown: Option<Instant>,
}

impl<'a> Progress<'a> {
    fn new(dir: &'a Path) -> Self {
        Self { dir, entries: 0, shown: io::stderr().is_terminal().then(Instant::now) }
    }

    fn count(&mut self) {
        self.entries += 1;
        if self.shown.is_some_and(|shown| shown.elapsed() >= PROGRESS) {
            self.shown = Some(Instant::now());
            // Whoever closed stderr does not want to see it.
            let _ = write!(io::stderr(), "\r{}: {} entries so far", self.dir.display(), self.entries);
        }
    }

    fn clear(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
