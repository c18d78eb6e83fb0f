//! How far a long replay is, said now and then: also where nobody sits at a terminal.

use std::path::Path;
use std::time::{Duration, Instant};

use tracing::info;

use super::read::Found;

/// Between two lines.
const PAUSE: Duration = Duration::from_secs(3);

/// Says it.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    dir: &'a Path,
    said: Instant,
}

impl<'a> Progress<'a> {
    pub(super) fn new(dir: &'a Path) -> Self {
        Self { dir, said: Instant::now() }
    }

    /// One more entry is behind.
    pub(super) fn count(&mut self, found: &Found<'_>) {
        // The clock costs more than most entries.
        if found.n.is_multiple_of(64) && self.said.elapsed() >= PAUSE {
            self.said = Instant::now();
            let (bytes, total) = (megabytes(found.bytes), megabytes(found.total));
            info!("{}: replayed up to entry {}, {bytes} of {total} MB", self.dir.display(), found.n);
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}
