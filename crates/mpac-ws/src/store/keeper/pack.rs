//! Compressing what no restart reads any more.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::store::gzip;
use crate::store::media::{Files, Media, segment, sync_dir};
use crate::store::snapshot;

/// Compresses the segments that lie wholly behind the older of the two kept snapshots, and their bases.
pub(super) fn pack(dir: &Path, stop: &AtomicBool) -> io::Result<()> {
    for first in behind(dir)? {
        one(&dir.join(segment(first)), stop)?;
    }
    let kept = older(dir)?.unwrap_or_default();
    for (_, path) in snapshot::bases(dir)?.into_iter().filter(|(n, _)| *n < kept) {
        one(&path, stop)?;
    }
    Ok(())
}

/// The first entries of the segments that end before the older of the two kept snapshots, or with it.
pub(super) fn behind(dir: &Path) -> io::Result<Vec<u64>> {
    let Some(kept) = older(dir)? else { return Ok(Vec::new()) };
    let all = Files::new(dir.to_owned()).segments()?;
    let ends_before = |pair: &&[u64]| pair[1] <= kept + 1;
    Ok(all.windows(2).filter(ends_before).map(|pair| pair[0]).collect())
}

/// The entry that the older of two snapshots was taken after; none where there are fewer.
fn older(dir: &Path) -> io::Result<Option<u64>> {
    Ok(snapshot::listed(dir)?.iter().rev().nth(1).map(|(n, _)| *n))
}

/// As long as both are there the original is the one that counts; what a crash left of the other is written anew.
fn one(path: &Path, stop: &AtomicBool) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    gzip::pack(path, &gzip::packed(path), stop)?;
    fs::remove_file(path)?;
    sync_dir(path.parent().unwrap_or(path))
}
