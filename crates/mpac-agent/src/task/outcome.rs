//! How a task ended.

use std::fmt;

use crate::report;
use crate::view::{COMPLETED, DECLINED, YIELDED};

/// How a task ended, when it did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These files were committed.
    Committed(Vec<String>),
    /// Where files are committed one by one: the first were, and then one was declined, or others had its files.
    Partly {
        /// These files were committed.
        committed: Vec<String>,
        /// These were not.
        left: Vec<String>,
    },
    /// The files already are as the task wants them.
    Unchanged,
    /// Somebody else goes on with it.
    Yielded,
    /// The person looked at the diff and said no.
    Declined,
    /// These files would have been committed ([`TaskOptions::dry_run`](super::TaskOptions::dry_run)).
    Shown(Vec<String>),
}

impl Outcome {
    /// In one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Committed(_) => "committed",
            Self::Partly { .. } => "partly",
            Self::Unchanged => "unchanged",
            Self::Yielded => "yielded",
            Self::Declined => "declined",
            Self::Shown(_) => "shown",
        }
    }

    /// What a program ends with: 0 where all is as it was asked for, 3 where somebody else was first, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Committed(_) | Self::Unchanged | Self::Shown(_) => 0,
            Self::Declined | Self::Partly { .. } => 1,
            Self::Yielded => 3,
        }
    }

    /// Why the intent is over. Who stepped back for it gives up for good when the work was done, and goes on when it was not.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Committed(_) | Self::Unchanged | Self::Shown(_) => COMPLETED,
            Self::Yielded => YIELDED,
            Self::Declined | Self::Partly { .. } => DECLINED,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed(files) => write!(f, "done: {} committed", report::files(files)),
            Self::Unchanged => f.write_str("done: nothing had to change"),
            Self::Declined => f.write_str("stopped: the change was not approved, and nothing was committed"),
            Self::Shown(files) => {
                write!(f, "dry run: {} would be committed; nothing was", report::files(files))
            }
            Self::Partly { committed, left } => {
                write!(f, "only {} committed, and not {}", report::files(committed), report::files(left))
            }
            Self::Yielded => f.write_str("the task is left to the others"),
        }
    }
}
