//! What one round trip to the disk costs: no message of a durable session is told before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use super::median;

/// As much as an announce takes up in a log.
const WRITTEN: usize = 1024;
/// Round trips that are measured.
const TIMES: usize = 300;

/// Medians, in seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sync {
    /// Into a file that is there already, as our log does it.
    pub(super) ahead: f64,
    /// Into one that grows, whose length has to be noted too.
    pub(super) growing: f64,
}

impl Sync {
    /// Writes into files in `dir` and waits for the disk each time.
    ///
    /// # Errors
    /// Of the file system.
    pub(super) fn measure(dir: &Path) -> io::Result<Self> {
        let path = dir.join("sync");
        let open = || OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let growing = round_trips(&mut open()?)?;
        let mut there = open()?;
        there.write_all(&vec![0; WRITTEN * TIMES])?;
        there.sync_all()?;
        let ahead = round_trips(&mut there)?;
        Ok(Self { ahead, growing })
    }
}

fn round_trips(file: &mut File) -> io::Result<f64> {
    file.seek(SeekFrom::Start(0))?;
    let mut each = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        file.write_all(&[b'x'; WRITTEN])?;
        file.sync_data()?;
        each.push(begun.elapsed().as_secs_f64());
    }
    Ok(median(each))
}
