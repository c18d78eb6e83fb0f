//! Where lines for people go: standard output, or above the prompt of the interactive mode.

use std::fmt;
use std::io::{IsTerminal as _, Write as _};

use crate::diff::printable;

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

/// Colours or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette(bool);

impl Palette {
    /// No escapes at all.
    pub const PLAIN: Self = Self(false);
    /// ANSI colours.
    pub const COLOUR: Self = Self(true);

    /// `NO_COLOR` set to anything means none; else `CLICOLOR_FORCE` set to anything but 0, or a terminal
    /// as standard output, means colours.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if set("NO_COLOR").is_some() {
            return Self::PLAIN;
        }
        Self(set("CLICOLOR_FORCE").is_some_and(|value| value != "0") || std::io::stdout().is_terminal())
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

/// Takes whole lines, each with its line end.
pub type Sink = Box<dyn FnMut(String) + Send>;

/// The one place that writes for people.
pub struct Console {
    palette: Palette,
    sink: Sink,
    /// Whether passing progress may be rewritten in place.
    rewrites: bool,
    /// A progress line stands on the terminal and must be cleared before the next line.
    transient: bool,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("palette", &self.palette).finish_non_exhaustive()
    }
}

impl Console {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        let sink = Box::new(|text: String| {
            let mut out = std::io::stdout().lock();
            // A closed pipe is a reader who has seen enough; the work itself goes on.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
        let rewrites = std::io::stdout().is_terminal();
        Self { palette: Palette::of_stdout(), sink, rewrites, transient: false }
    }

    /// Whole lines into `sink`.
    #[must_use]
    pub fn lines_to(palette: Palette, sink: Sink) -> Self {
        Self { palette, sink, rewrites: false, transient: false }
    }

    /// The colours in use.
    #[must_use]
    pub fn palette(&self) -> Palette {
        self.palette
    }

    /// Writes text as one or more lines. Its control characters are shown, not obeyed.
    pub fn say(&mut self, style: Style, text: &str) {
        let painted = self.palette.paint(style, &printable(text));
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
        if self.rewrites {
            self.transient = true;
            (self.sink)(format!("\r\u{1b}[2K{}", self.palette.paint(Style::Dim, &printable(text))));
        }
    }

    fn raw(&mut self, text: &str) {
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
