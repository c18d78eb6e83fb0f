//! Where lines for people go: standard output, or above the prompt of the interactive mode.

mod screen;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use crate::diff::{Look, cut, fold, printable};

pub use screen::{Layout, Screen};

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// Headings of diffs, own steps.
    Bold,
    /// What others do.
    Dim,
    /// Removed lines, failures.
    Red,
    /// Added lines, success.
    Green,
    /// Conflicts and decisions.
    Yellow,
    /// Places in a diff.
    Cyan,
}

/// To standard error, line ends and all. Where nothing can be written there, there is nowhere else to say so, and what goes on
/// goes on: `eprint!` panics.
pub(crate) fn aside(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Colours or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette(bool);

impl Palette {
    /// No escapes at all.
    pub const PLAIN: Self = Self(false);
    /// ANSI colours.
    pub const COLOUR: Self = Self(true);

    /// `NO_COLOR` set to anything means none; else `CLICOLOR_FORCE` set to anything but 0, or a terminal
    /// as standard output that knows colours (`TERM` is not `dumb`), means colours.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if set("NO_COLOR").is_some() {
            return Self::PLAIN;
        }
        Self(set("CLICOLOR_FORCE").is_some_and(|value| value != "0") || obeys_escapes())
    }

    /// The text in this style.
    #[must_use]
    pub fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            Style::Plain => return text.to_owned(),
            Style::Bold => 1,
            Style::Dim => 2,
            Style::Red => 31,
            Style::Green => 32,
            Style::Yellow => 33,
            Style::Cyan => 36,
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Is standard output a terminal that does what escape sequences say?
pub(crate) fn obeys_escapes() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Takes whole lines, each with its line end.
pub type Sink = Box<dyn FnMut(String) + Send>;

/// The one place that writes for people.
pub struct Console {
    palette: Palette,
    screen: Arc<Screen>,
    sink: Sink,
    progress: Progress,
    /// A progress line stands on the terminal and must be cleared before the next line.
    transient: bool,
}

/// Where passing progress goes.
enum Progress {
    Nowhere,
    /// Rewritten in place.
    InPlace,
    /// To somebody who shows it, each time the newest; an empty one when it is over.
    To(Box<dyn FnMut(&str) + Send>),
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("palette", &self.palette).finish_non_exhaustive()
    }
}

impl Console {
    /// Standard output, with changes shown as fits its width.
    #[must_use]
    pub fn stdout() -> Self {
        Self::on(Screen::stdout(Layout::default()))
    }

    /// Standard output, with changes shown as this says. What cannot be written is left out, and the work goes on.
    #[must_use]
    pub fn on(screen: Screen) -> Self {
        Self::on_noting(screen, drop)
    }

    /// The same, and `unwritten` is told why something could not be written.
    pub(crate) fn on_noting(screen: Screen, mut unwritten: impl FnMut(io::Error) + Send + 'static) -> Self {
        let sink = Box::new(move |text: String| {
            let mut out = io::stdout().lock();
            if let Err(why) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
                unwritten(why);
            }
        });
        let progress = if obeys_escapes() { Progress::InPlace } else { Progress::Nowhere };
        Self { palette: Palette::of_stdout(), screen: Arc::new(screen), sink, progress, transient: false }
    }

    /// Whole lines into `sink`.
    #[must_use]
    pub fn lines_to(palette: Palette, sink: Sink) -> Self {
        let screen = Arc::new(Screen::of(Layout::default(), || None));
        Self { palette, screen, sink, progress: Progress::Nowhere, transient: false }
    }

    /// For another screen than one of any width.
    #[must_use]
    pub(crate) fn with_screen(mut self, screen: Arc<Screen>) -> Self {
        self.screen = screen;
        self
    }

    /// Passing progress goes to `progress`: each time the newest, and an empty text when it is over.
    #[must_use]
    pub(crate) fn with_progress(mut self, progress: impl FnMut(&str) + Send + 'static) -> Self {
        self.progress = Progress::To(Box::new(progress));
        self
    }

    /// How changes are to be drawn now.
    #[must_use]
    pub fn look(&self) -> Look {
        Look { palette: self.palette, side_by_side: self.screen.side_by_side() }
    }

    /// How many characters fit a line; `None` where lines may have any length.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        self.screen.columns()
    }

    /// The colours in use.
    #[must_use]
    pub fn palette(&self) -> Palette {
        self.palette
    }

    /// Writes text as one or more lines, broken between words where it is wider than the terminal. Its control characters
    /// are shown, not obeyed.
    pub fn say(&mut self, style: Style, text: &str) {
        let mut shown = printable(text);
        if let Some(columns) = self.screen.columns() {
            shown = fold(&shown, columns);
        }
        let painted = self.palette.paint(style, &shown);
        self.raw(&painted);
    }

    /// Writes lines that are painted already.
    pub fn block(&mut self, lines: &[String]) {
        if !lines.is_empty() {
            self.raw(&lines.join("\n"));
        }
    }

    /// Shows how far something is, in place, where that is possible; else not at all.
    pub fn progress(&mut self, text: &str) {
        let text = printable(text);
        match &mut self.progress {
            Progress::Nowhere => {}
            Progress::InPlace => {
                // More than a line could not be taken back.
                let room = self.screen.columns().map_or(usize::MAX, |columns| columns.saturating_sub(1));
                let painted = self.palette.paint(Style::Dim, &cut(&text, room));
                self.transient = true;
                (self.sink)(format!("\r\u{1b}[2K{painted}"));
            }
            Progress::To(show) => show(&text),
        }
    }

    fn raw(&mut self, text: &str) {
        if let Progress::To(show) = &mut self.progress {
            show("");
        }
        let clear = if std::mem::take(&mut self.transient) { "\r\u{1b}[2K" } else { "" };
        (self.sink)(format!("{clear}{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn what_others_write_cannot_steer_the_terminal() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let sink = Box::new(move |line| into.lock().unwrap().push(line));
        let mut console = Console::lines_to(Palette::COLOUR, sink);
        console.say(Style::Green, "done \u{1b}[2J");
        console.progress("nobody sees this");
        assert_eq!(*lines.lock().unwrap(), ["\u{1b}[32mdone ^[[2J\u{1b}[0m\n"]);
    }
}
