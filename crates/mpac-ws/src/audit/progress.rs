//! A line on the terminal that says how far a log is read; nothing where there is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::store::log::Found;

/// Entries between two looks at the clock.
const STEP: u64 = 256;

/// How far one log is read.
pub(super) struct Progress {
    bar: ProgressBar,
    entries: u64,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let template = "{wide_msg} {percent:>3} % of {total_bytes}, {eta} left";
        // A template that does not parse leaves the plain one.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, entries: 0 }
    }

    /// One more entry is followed.
    pub(super) fn count(&mut self, found: &Found<'_>) {
        self.entries += 1;
        if self.entries.is_multiple_of(STEP) {
            self.bar.set_length(found.total);
            self.bar.set_position(found.bytes);
            self.bar.set_message(format!("{} entries, {:.0}/s", self.entries, self.per_second()));
        }
    }

    /// How many entries so far.
    pub(super) const fn entries(&self) -> u64 {
        self.entries
    }

    /// Entries a second.
    pub(super) fn per_second(&self) -> f64 {
        self.entries as f64 / self.bar.elapsed().as_secs_f64().max(1e-6)
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
