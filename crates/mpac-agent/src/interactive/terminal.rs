//! The terminal as it was, to be left like that whatever the line editor is in the middle of.

use std::io::{IsTerminal as _, Write as _};

/// How a terminal was before somebody changed it.
#[derive(Debug)]
pub(super) struct Before {
    #[cfg(unix)]
    mode: rustix::termios::Termios,
}

impl Before {
    /// Of standard input; `None` when that is no terminal.
    pub(super) fn now() -> Option<Self> {
        if !std::io::stdin().is_terminal() {
            return None;
        }
        #[cfg(unix)]
        return Some(Self { mode: rustix::termios::tcgetattr(std::io::stdin()).ok()? });
        #[cfg(not(unix))]
        return None;
    }

    /// As it was, on a line of its own. Pasted text comes without marks around it again.
    pub(super) fn restore(&self) {
        #[cfg(unix)]
        {
            // A terminal that is gone needs nothing.
            let _ = rustix::termios::tcsetattr(
                std::io::stdin(),
                rustix::termios::OptionalActions::Now,
                &self.mode,
            );
        }
        let unmark = if crate::console::obeys_escapes() { "\u{1b}[?2004l" } else { "" };
        let mut out = std::io::stdout().lock();
        // Likewise.
        let _ = writeln!(out, "{unmark}").and_then(|()| out.flush());
    }
}
