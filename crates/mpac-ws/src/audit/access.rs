//! Who looked at what is stored (PRV-04, D-135).

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use mpac_wire::Timestamp;
use serde::Serialize;

use super::problem::Problem;
use super::which::Which;
use crate::clock;
use crate::store::owner;

/// One line of `DATA/access.log`.
#[derive(Serialize)]
struct Access<'a> {
    at: Timestamp,
    /// Whom the environment names.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Whom the operating system names, by number.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    command: &'a str,
    session: &'a str,
    run: u64,
}

/// What somebody is about to see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// What was said and done.
    Events,
    /// All of it: it is not shown unless the look is noted.
    Contents,
}

/// Notes that somebody looks at a session, before anything is shown.
///
/// # Errors
/// When contents are asked for, and it cannot be noted.
pub(super) fn note(which: &Which, command: &str, shows: Shows) -> Result<(), Problem> {
    let path = which.data.join("access.log");
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let (session, run) = (which.id.as_str(), which.run);
    let access = Access { at: clock::now(), user, uid: uid(), command, session, run };
    match (append(&path, &access), shows) {
        (Ok(()), _) => Ok(()),
        (Err(source), Shows::Contents) => Err(Problem::Unnoted { path, source }),
        (Err(error), Shows::Events) => {
            // Whoever closed stderr does not want to see it.
            let _ = writeln!(io::stderr(), "warning: {}: this look is not noted: {error}", path.display());
            Ok(())
        }
    }
}

fn append(path: &Path, access: &Access<'_>) -> io::Result<()> {
    let mut line = serde_json::to_string(access).map_err(io::Error::other)?;
    line.push('\n');
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // One write, so that two who look at the same time do not write into each other's line.
    // Whoever runs the server looks, too.
    let data = path.parent().unwrap_or(path);
    owner::open(&options, path, data)?.write_all(line.as_bytes())
}

/// Where the system has a file that belongs to whoever asks.
fn uid() -> Option<u32> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").ok().map(|it| it.uid())
    }
    #[cfg(not(unix))]
    None
}
