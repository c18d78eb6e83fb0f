//! `mpac-ws repair`: says what can be done about a damaged log, and does it.

use std::io::Write;
use std::path::{Path, PathBuf};

use mpac_wire::SessionId;

use crate::cli::repair::{Repair, Way};
use crate::error::Error;
use crate::reader::MayLeave;
use crate::store::repair::{Plan, Survey, rebuild, survey};
use crate::store::{self, Durability, Store};

/// Looks at the sessions of a data directory, and repairs those that are damaged unless that is only to be tried.
///
/// # Errors
/// When a server has the directory and it is not only to be tried, a session is not there, or a repair needs a decision or cannot be made.
pub fn run(options: &Repair, out: &mut impl Write) -> Result<(), Error> {
    let out = &mut MayLeave(out);
    let data = options.whose.found()?;
    if let Err(source) = std::fs::read_dir(data.join("sessions")) {
        let reason = match source.kind() {
            std::io::ErrorKind::NotFound => "no sessions are stored there".to_owned(),
            _ => format!("it cannot be read: {source}"),
        };
        return Err(Error::NotRepaired { path: data, reason });
    }
    // Whoever repairs has it alone, as a server would; to look at a session that did not start the others need not stop.
    let _held = if options.dry_run { None } else { Some(Store::open(&data, Durability::Fsync)?) };
    let said = |source| Error::Io { step: "saying what was found", source };
    for dir in chosen(options, &data)? {
        let unreadable = |source| Error::DataDir { path: dir.clone(), source };
        let Some(found) = survey(&dir).map_err(unreadable)? else {
            writeln!(out, "ok      {}: nothing is damaged", dir.display()).map_err(said)?;
            continue;
        };
        describe(&dir, &found, out).map_err(said)?;
        if options.dry_run {
            continue;
        }
        let plan = decided(options.way, &dir, &found)?;
        let aside = rebuild(&dir, &found, plan)?;
        let (after, way) = (plan.after, name(plan.way));
        writeln!(
            out,
            "repaired {} (--way {way}): the session goes on after entry {after}; what it was made from is in {}",
            dir.display(),
            aside.display()
        )
        .map_err(said)?;
    }
    Ok(())
}

fn chosen(options: &Repair, data: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::DataDir { path: data.to_owned(), source };
    let mut dirs = store::sessions(data).map_err(failed)?;
    let Some(id) = &options.session else {
        let runs = dirs.chunk_by(|one, next| one.parent() == next.parent());
        return Ok(runs.filter_map(|runs| runs.last().cloned()).collect());
    };
    // Whoever copies the name from a message has that of the directory, which an id may be hidden behind.
    let named = |id: &str| SessionId::new(id).map(|id| store::name(&id)).ok();
    let names = [named(id), Some(id.clone())];
    let of_name = |dir: &Path| {
        let name = dir.parent().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned);
        names.contains(&name)
    };
    let run = options.run.map(|k| k.to_string());
    let is_run = |dir: &Path| run.as_ref().is_none_or(|run| dir.ends_with(run));
    dirs.retain(|dir| of_name(dir) && is_run(dir));
    let missing = || Error::NotRepaired {
        path: data.to_owned(),
        reason: match options.run {
            Some(k) => {
                format!("there is no session {id:?} of number {k}; leave out --session and --run to see all")
            }
            None => format!("there is no session {id:?}; leave out --session to see all"),
        },
    };
    Ok(vec![dirs.pop().ok_or_else(missing)?])
}

/// The plan that was asked for, or the one that loses nothing.
fn decided<'a>(way: Option<Way>, dir: &Path, found: &'a Survey) -> Result<&'a Plan, Error> {
    let refused = |reason: &str| Error::NotRepaired { path: dir.to_owned(), reason: reason.to_owned() };
    match way {
        Some(way) => found.plan(way).ok_or_else(|| refused("that way leads nowhere here; see what --dry-run says")),
        None => found.plans.iter().find(|plan| plan.lost.is_nothing()).ok_or_else(|| {
            refused(if found.plans.is_empty() {
                "nothing of it is usable; put back a copy of the directory, or move it away to begin the session anew"
            } else {
                "every way loses something; say which one with --way snapshot or --way cut, or put back a copy of the directory"
            })
        }),
    }
}

fn describe(dir: &Path, found: &Survey, out: &mut impl Write) -> std::io::Result<()> {
    writeln!(out, "DAMAGED {}", dir.display())?;
    writeln!(out, "  what: {}", found.damage)?;
    match found.until {
        0 => writeln!(out, "  usable before it: nothing")?,
        n => writeln!(out, "  usable before it: up to entry {n}")?,
    }
    match found.snapshot {
        Some(n) => writeln!(out, "  newest usable snapshot: after entry {n}")?,
        None => writeln!(out, "  newest usable snapshot: none")?,
    }
    if found.starts {
        writeln!(out, "  a server starts on it all the same: it begins behind the damage")?;
    }
    for plan in &found.plans {
        match plan.way {
            Way::Snapshot => {
                writeln!(out, "  --way snapshot: from the newest snapshot on, up to entry {}", plan.after)?;
                writeln!(
                    out,
                    "    what was before it is kept aside: `audit` cannot look back further any more"
                )?;
            }
            Way::Cut => writeln!(out, "  --way cut: up to entry {}, and on from there", plan.after)?,
        }
        write!(out, "    the session loses:\n{}", plan.lost)?;
    }
    if found.plans.is_empty() {
        writeln!(
            out,
            "  no way leads on: put back a copy of the directory, or move it away to begin the session anew"
        )?;
    }
    Ok(())
}

const fn name(way: Way) -> &'static str {
    match way {
        Way::Snapshot => "snapshot",
        Way::Cut => "cut",
    }
}
