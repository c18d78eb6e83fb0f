//! `mpac-ws backup`: everything that a server has stored as of the start of the command, verified, in a directory that a
//! server can be started from.
//!
//! ```text
//! DIR/backup.json   of which server, and whether it is complete
//! DIR/data/         for --data-dir
//! DIR/workspace/    for --workspace: the shared files as the session has them
//! ```

mod still;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use self::still::Still;
use crate::ask;
use crate::cli::backup::Backup;
use crate::control::dial::Target;
use crate::control::{self, Answer, Request};
use crate::error::Error;
use crate::follow::Follower;
use crate::follow::copy::Copy;
use crate::follow::receive::{Heard, Held, Link};
use crate::standby::{open, token};
use crate::store::place::is_inside;
use crate::store::{Durability, Store, base, whole};
use crate::workspace::Workspace;
use crate::workspace::load::{self, Limits};
use crate::workspace::write_back::{Mirror, Refused, fitting};

const FILE: &str = "backup.json";
/// Between two looks of whoever waits at a terminal.
const PROGRESS: Duration = Duration::from_millis(200);

/// What is said of a backup.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// Only then there is everything of some moment in it.
    complete: bool,
    /// Entries of all sessions.
    entries: u64,
}

/// Makes the backup, or brings an earlier one up to date.
///
/// # Errors
/// When the directory is none for a backup, the server cannot be reached, or what it has does not verify; then the backup is
/// marked as incomplete, and the next try goes on with it.
pub async fn run(options: &Backup) -> Result<String, Error> {
    let to = std::path::absolute(&options.to).map_err(|source| disk(&options.to, source))?;
    let (target, still) = source(options).await?;
    stay_outside(&to, options)?;
    prepare(&to).map_err(|source| disk(&to, source))?;
    let data = to.join("data");
    let lock = Store::open(&data, Durability::Fsync)?;
    let failed = |reason: &dyn std::fmt::Display| Error::Following {
        from: target.url().to_owned(),
        reason: reason.to_string(),
    };
    let mut held = Held::new(open(data).await?);
    let hello = Link::hello(Follower::Backup, &mut held).await.map_err(|error| failed(&error))?;
    let mut link = Link::new(&target, hello).await.map_err(|error| failed(&error))?;
    let mut shown = io::stderr().is_terminal().then(Instant::now);
    loop {
        let frame = link.next().await.map_err(|error| failed(&error))?;
        match link.handle(frame, &mut held).await.map_err(|error| failed(&error))? {
            // The first time: all that was durable when the server began to look around, which was after we came.
            Heard::Standing | Heard::Ended => break,
            Heard::Elsewhere(server) => return Err(failed(&format!("its sessions went to {server}"))),
            Heard::More | Heard::Server { .. } | Heard::Released { .. } => {
                progress(&mut shown, &mut held).await
            }
        }
    }
    if shown.is_some() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    drop((link, still));
    let copy = held.into_inner().map_err(|error| failed(&error))?;
    if let Some((of, reason)) = copy.lacks() {
        return Err(failed(&format!(
            "session {of} is damaged there, so the backup is not complete: {reason}; repair it (mpac-ws repair --dry-run says \
             how), then make the backup again"
        )));
    }
    let at = to.clone();
    let completed = spawn_blocking(move || complete(&at, copy)).await;
    let completed = completed.map_err(|error| failed(&error))?.map_err(|source| disk(&to, source))?;
    drop(lock);
    let (to, Completed { entries, in_log_alone }) = (to.display(), completed);
    let mut said = format!(
        "{entries} entries are in {to}, each verified; start from it with mpac-ws --data-dir {to}/data --workspace {to}/workspace"
    );
    for refused in in_log_alone {
        said += &format!("\nin the log alone: {refused}");
    }
    Ok(said)
}

/// Refuses a place where everybody would be handed the log, which has more in it than each of them may see.
fn stay_outside(to: &Path, options: &Backup) -> Result<(), Error> {
    let running = match options.from {
        Some(_) => None,
        None => control::service(&options.whose.found()?).and_then(|it| it.shares).map(PathBuf::from),
    };
    if options.whose.workspace.iter().chain(&running).any(|shared| is_inside(to, shared)) {
        let reason = "it lies inside the shared directory; name one outside it with --to";
        return Err(disk(to, io::Error::other(reason)));
    }
    Ok(())
}

/// An empty directory, or an earlier backup.
fn prepare(to: &Path) -> io::Result<()> {
    crate::store::private_dirs().create(to)?;
    let is_one = whole::read_json::<Mark>(to, FILE)?.is_some();
    if !is_one && fs::read_dir(to)?.next().is_some() {
        return Err(io::Error::other("it is neither empty nor a backup; name another directory with --to"));
    }
    whole::write_json(to, FILE, &Mark { complete: false, entries: 0 })?;
    crate::store::private_dirs().create(to.join("workspace"))
}

/// Whom to follow: a running server, or a stopped one, which is then served for as long as that takes.
async fn source(options: &Backup) -> Result<(Target, Option<Still>), Error> {
    if let Some(from) = &options.from {
        return Ok((Target::new(from, token(&options.token)?), None));
    }
    let data = options.whose.found()?;
    if let Some(target) = ask::reach(&data)?
        && let Ok(Answer::Status(_)) = target.ask(&Request::Status {}).await
    {
        return Ok((target, None));
    }
    let still = Still::open(data, options.whose.workspace.clone()).await?;
    Ok((still.target(), Some(still)))
}

async fn progress(shown: &mut Option<Instant>, held: &mut Held) {
    if shown.is_none_or(|shown| shown.elapsed() < PROGRESS) {
        return;
    }
    *shown = Some(Instant::now());
    if let Ok(entries) = held.with(|copy| Ok(copy.entries())).await {
        // Whoever closed stderr does not want to see it.
        let _ = write!(io::stderr(), "\r{entries} entries so far");
    }
}

/// What a backup holds.
struct Completed {
    entries: u64,
    /// Shared files that no directory can hold, or may, with the reason.
    in_log_alone: Vec<String>,
}

/// Makes the copy one to start from, puts the shared files beside it, and says so.
fn complete(to: &Path, copy: Copy) -> io::Result<Completed> {
    let entries = copy.entries();
    let (files, base) = shared(&to.join("data"), &copy)?;
    copy.finish().map_err(|error| io::Error::other(error.to_string()))?;
    let in_log_alone = write(&to.join("workspace"), &files, &base)?;
    whole::write_json(to, FILE, &Mark { complete: true, entries })?;
    Ok(Completed { entries, in_log_alone })
}

/// The files as the only open session has them; where there are more, or none, as sessions begin with them. These come second.
fn shared(data: &Path, copy: &Copy) -> io::Result<(Workspace, Workspace)> {
    let mut base = Workspace::default();
    base::complete(data, &mut base)?;
    let mut open = copy.replicas().filter(|it| !it.is_closed()).filter_map(|it| it.replay().session());
    let files = match (open.next(), open.next()) {
        (Some((_, kept)), None) => kept.files(&base, None).workspace,
        _ => base.clone(),
    };
    Ok((files, base))
}

/// Makes the directory hold these files and no others; says which it cannot hold. Whoever may commit may commit a name that is
/// ignored, or one below that of a file: the log has that, and it is no reason to be without a backup, nor without the files of
/// `base`, which were there before.
fn write(dir: &Path, files: &Workspace, base: &Workspace) -> io::Result<Vec<String>> {
    let (before, since): (Vec<_>, Vec<_>) = files.files().partition(|(name, _)| base.get(name).is_some());
    let (mut fit, mut refused) = (BTreeMap::new(), Vec::new());
    for (name, file) in before.into_iter().chain(since) {
        match fitting(name, &fit) {
            Ok(_) => drop(fit.insert(name.to_owned(), file)),
            Err(error) => refused.push(format!("{name:?}: {error}")),
        }
    }
    let limits = Limits { frame: usize::MAX, total: u64::MAX };
    let there = load::load(dir, &limits, &load::Progress::default());
    let (there, _) = there.map_err(|error| io::Error::other(error.to_string()))?;
    let mut mirror = Mirror::of(&there).ok_or_else(|| io::Error::other("it is no directory"))?;
    for (name, _) in there.files().filter(|(name, _)| !fit.contains_key(*name)) {
        mirror.remove(name)?;
    }
    for (name, file) in fit {
        match mirror.write(&name, file) {
            Ok(_) => fs::File::open(dir.join(name))?.sync_all()?,
            Err(error @ Refused::Io(..)) if !error.is_for_good() => {
                return Err(io::Error::other(format!("{name:?}: {error}")));
            }
            Err(error) => refused.push(format!("{name:?}: {error}")),
        }
    }
    Ok(refused)
}

fn disk(to: &Path, source: io::Error) -> Error {
    Error::Control(format!("backup {}: {source}", PathBuf::from(to).display()))
}
