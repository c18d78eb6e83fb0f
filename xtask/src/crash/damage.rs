//! Damage to a log that a repair has to get over without loss: in an entry that a snapshot makes dispensable.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Random, names};
use crate::step::Failure;

/// Turns a bit in some entry before the newest snapshot; false where there is none that is not compressed.
pub(super) fn damage(session: &Path, random: &mut Random) -> Result<bool, Failure> {
    let names = names(session)?;
    let newest = names.iter().filter_map(|name| name.strip_prefix("snapshot-")?.parse::<u64>().ok()).max();
    let Some(newest) = newest else { return Ok(false) };
    let mut places: Vec<(PathBuf, usize)> = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".log")) {
        let path = session.join(name);
        let bytes = fs::read(&path).map_err(Failure::io("read a segment"))?;
        let mut begin = 0;
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            if entry(line).is_some_and(|n| n < newest) {
                places.push((path.clone(), begin + line.len() / 2));
            }
            begin += line.len();
        }
    }
    if places.is_empty() {
        return Ok(false);
    }
    let (path, at) = places.swap_remove(random.below(places.len() as u64) as usize);
    let mut bytes = fs::read(&path).map_err(Failure::io("read a segment"))?;
    bytes[at] ^= 1;
    fs::write(&path, bytes).map_err(Failure::io("damage a segment"))?;
    Ok(true)
}

/// The number of the entry on this line.
fn entry(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    text.split_once("{\"n\":")?.1.split(',').next()?.parse().ok()
}
