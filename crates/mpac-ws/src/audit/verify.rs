//! `audit verify`: whether the logs are what they were, and lead where they led.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use super::problem::Problem;
use super::progress::Progress;
use super::text::harmless;
use super::{read, which};
use crate::cli::audit::Verify;
use crate::error::Error;
use crate::store::entry::Entry;
use crate::store::fork::Origin;
use crate::store::log::Damage;
use crate::store::reading::Reading;

/// Lives every session through again and says of each, on a line of its own, whether all of it matches (REC-14).
pub(super) fn verify(options: &Verify, out: &mut dyn Write) -> Result<(), Problem> {
    let (mut bad, mut looked_at) = (0, 0);
    for dir in which::all(&options.place)? {
        looked_at += 1;
        let line = match session(&dir) {
            Ok(line) => line,
            Err(reason) => {
                bad += 1;
                format!("BAD  {}: {reason}", dir.display())
            }
        };
        // Each session as soon as it is looked at: the next may take minutes.
        writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Problem::Output)?;
    }
    if looked_at == 0 {
        writeln!(out, "no session is stored there").map_err(Problem::Output)?;
    }
    if bad == 0 { Ok(()) } else { Err(Error::NotVerified(bad).into()) }
}

fn session(dir: &Path) -> Result<String, String> {
    match read::again(|| once(dir)) {
        Err(_) if !dir.exists() => {
            Ok(format!("gone {}: it was deleted meanwhile, because it is kept no longer", dir.display()))
        }
        looked => looked.map_err(|damage| damage.to_string()),
    }
}

fn once(dir: &Path) -> Result<String, Damage> {
    let reading = Reading::open(dir)?;
    let mut replay = reading.replay().map_err(std::io::Error::other)?;
    let mut progress = Progress::new();
    let mut origin: Option<Origin> = None;
    let mut seals = 0;
    let read = read::entries(&reading, &mut |found, entry| {
        progress.count(found);
        if let Entry::Fork(forked) = &entry {
            origin = Some(forked.origin().clone());
        }
        seals += u64::from(matches!(entry, Entry::Seal(_)));
        replay.follow(entry).map(ControlFlow::Continue)
    });
    progress.clear();
    let end = read?;
    let Some((coordinator, kept)) = replay.session() else {
        return Ok(format!("ok   {}: nothing happened in it", dir.display()));
    };
    let state = if coordinator.view().is_closed() { ", closed" } else { "" };
    let mut more = String::new();
    if seals > 0 {
        more.push_str(&format!("; {seals} seals, whose signatures --keys verifies"));
    }
    if end.torn {
        more.push_str("; its end is half written");
    }
    if let Some(begins) = reading.begins() {
        more.push_str(&format!("; from entry {} on: {}", begins.after + 1, begins.why));
    }
    for it in replay.repairs() {
        let (at, aside) = (it.at.to_string(), harmless(&it.aside));
        more.push_str(&format!("; repaired at {at} ({}), what it was made from is in {aside}", it.way));
    }
    let from = origin.map_or_else(String::new, |it| {
        format!(
            "; begun from entry {} of session {}, checksum {}",
            it.after.n,
            harmless(it.session.as_str()),
            it.after.sum
        )
    });
    let counted = match progress.entries() {
        1 => "1 entry".to_owned(),
        n => format!("{n} entries ({:.0}/s)", progress.per_second()),
    };
    Ok(format!(
        "ok   {}: session {}, {counted}, epoch {}, Lamport {}{state}{more}{from}",
        dir.display(),
        harmless(kept.config.session_id.as_str()),
        coordinator.epoch(),
        coordinator.view().lamport()
    ))
}

#[cfg(test)]
mod tests;
