//! The terminal's width, and how changes are to be shown on it. All consoles of one terminal share it, so that a person may
//! choose at any time.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::atomic::{AtomicU8, Ordering};

use clap::ValueEnum;

/// From this width on [`Layout::Auto`] puts old and new beside each other.
const WIDE: usize = 120;
/// With less, two columns cannot be read.
const NARROWEST: usize = 60;

/// How a change is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Layout {
    /// Removed lines above added ones.
    Unified,
    /// Old and new beside each other.
    SideBySide,
    /// Side by side where the terminal is wide enough (120 columns).
    #[default]
    Auto,
}

impl Layout {
    /// By its name on the command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::from_str(name, true).ok()
    }

    const fn number(self) -> u8 {
        match self {
            Self::Unified => 0,
            Self::SideBySide => 1,
            Self::Auto => 2,
        }
    }
}

/// What lines for people are shown on.
pub struct Screen {
    layout: AtomicU8,
    columns: fn() -> Option<usize>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("columns", &self.columns()).finish_non_exhaustive()
    }
}

impl Screen {
    /// Standard output, whatever it is.
    #[must_use]
    pub fn stdout(layout: Layout) -> Self {
        // Asked each time, because windows are resized.
        Self::of(layout, || {
            let size = std::io::stdout().is_terminal().then(terminal_size::terminal_size)??;
            Some(usize::from(size.0.0))
        })
    }

    /// One whose width `columns` tells; `None` is no terminal.
    #[must_use]
    pub fn of(layout: Layout, columns: fn() -> Option<usize>) -> Self {
        Self { layout: AtomicU8::new(layout.number()), columns }
    }

    /// How many characters fit a line; `None` where lines may have any length.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        (self.columns)().filter(|columns| *columns > 0)
    }

    /// From now on changes are shown so.
    pub fn lay_out(&self, layout: Layout) {
        self.layout.store(layout.number(), Ordering::Relaxed);
    }

    /// How changes are to be shown.
    #[must_use]
    pub fn layout(&self) -> Layout {
        match self.layout.load(Ordering::Relaxed) {
            0 => Layout::Unified,
            1 => Layout::SideBySide,
            _ => Layout::Auto,
        }
    }

    /// The width for old and new beside each other, where that is wanted and possible now.
    #[must_use]
    pub fn side_by_side(&self) -> Option<usize> {
        match self.layout() {
            Layout::Unified => None,
            Layout::SideBySide => {
                Some(self.columns().unwrap_or(WIDE)).filter(|columns| *columns >= NARROWEST)
            }
            Layout::Auto => self.columns().filter(|columns| *columns >= WIDE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_need_room_and_a_wish() {
        let width = |layout, columns| Screen::of(layout, columns).side_by_side();
        assert_eq!(width(Layout::Auto, || Some(119)), None);
        assert_eq!(width(Layout::Auto, || Some(120)), Some(120));
        assert_eq!(width(Layout::Auto, || None), None, "a file gets what `patch` reads");
        assert_eq!(width(Layout::SideBySide, || None), Some(120));
        assert_eq!(width(Layout::SideBySide, || Some(60)), Some(60));
        assert_eq!(width(Layout::SideBySide, || Some(40)), None);
        assert_eq!(width(Layout::Unified, || Some(300)), None);
    }

    #[test]
    fn the_choice_can_be_changed() {
        let screen = Screen::of(Layout::Auto, || Some(200));
        for layout in [Layout::Unified, Layout::SideBySide, Layout::Auto] {
            screen.lay_out(layout);
            assert_eq!(screen.layout(), layout);
        }
        assert_eq!(Layout::named("side-by-side"), Some(Layout::SideBySide));
        assert_eq!(Layout::named("sideways"), None);
    }
}
