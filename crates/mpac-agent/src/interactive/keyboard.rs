//! The line editor, on a thread of its own because reading blocks, and the signals that mean what keys mean.
//!
//! It reads one line each time it is told [`Keyboard::ready`].

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

use super::board::Board;
use super::editor::{self, Aid};
use super::printer::Printer;
use super::signals::Signals;
use super::terminal::Before;
use crate::console::{Console, Layout, Palette, Screen, obeys_escapes};
use crate::diff::{columns, cut};
use crate::error::AgentError;
use crate::known::state_dir;

/// How often what goes on is drawn anew.
const REDRAW: Duration = Duration::from_millis(250);
/// How often it is told, where it cannot be drawn.
const TELL: Duration = Duration::from_secs(15);
/// A longer name is cut in the prompt.
const NAME_COLUMNS: usize = 16;

/// What came from the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C, or the signal for it.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    End,
    /// The system wants this program to end.
    Hangup,
}

/// The reading thread, seen from outside.
pub struct Keyboard {
    ready: blocking::Sender<()>,
    typed: mpsc::UnboundedReceiver<Typed>,
    /// Typed before somebody wanted it.
    early: VecDeque<Typed>,
    printer: Printer,
    /// A line is being read at the moment.
    reading: bool,
    terminal: bool,
    /// How often what goes on is told.
    tells: Duration,
    palette: Palette,
    screen: Arc<Screen>,
    board: Arc<Board>,
    before: Option<Before>,
    signals: Option<Signals>,
}

impl std::fmt::Debug for Keyboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyboard").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl Keyboard {
    /// Takes the terminal, inside a runtime. The prompt is `name> `. What is typed is remembered for the next run, in the
    /// directory that this system keeps for such things.
    ///
    /// # Errors
    /// [`AgentError::Terminal`].
    pub fn open(name: &str, layout: Layout) -> Result<Self, AgentError> {
        let terminal = std::io::stdin().is_terminal();
        let before = Before::now();
        let prompt = format!("{}> ", cut(name, NAME_COLUMNS));
        let palette = if obeys_escapes() { Palette::of_stdout() } else { Palette::PLAIN };
        let (screen, board) = (Arc::new(Screen::stdout(layout)), Arc::new(Board::default()));
        let prompt_columns = columns(&prompt);
        let aid = Aid { board: Arc::clone(&board), palette, screen: Arc::clone(&screen), prompt_columns };
        let past = state_dir().filter(|_| terminal).map(|dir| dir.join("history"));
        let (mut editor, past) =
            editor::open(aid, past).map_err(|error| AgentError::Terminal(error.to_string()))?;
        let printer = Printer::of(&mut editor);
        let (ready, wanted) = blocking::channel::<()>();
        let (lines, typed) = mpsc::unbounded_channel();
        // Before the first line is read, or the editor would put the system's own handling back after it.
        let signals = Signals::catch();
        std::thread::spawn(move || {
            while wanted.recv().is_ok() {
                let read = match editor.readline(&prompt) {
                    Ok(line) => {
                        editor::remember(&mut editor, past.as_deref(), &line);
                        Typed::Line(line)
                    }
                    Err(ReadlineError::Interrupted) => Typed::Interrupt,
                    Err(_) => Typed::End,
                };
                let over = read == Typed::End;
                if lines.send(read).is_err() || over {
                    return;
                }
            }
        });
        let (early, signals) = (VecDeque::new(), signals);
        let palette = Palette::of_stdout();
        Ok(Self {
            ready,
            typed,
            early,
            printer,
            reading: false,
            terminal,
            tells: TELL,
            palette,
            screen,
            board,
            before,
            signals,
        })
    }

    /// A keyboard whose keys somebody else presses. For each line that is wanted `wanted` gets a word; what is shown
    /// goes to `shown`. A `terminal` is read all the time, anything else only when a line is wanted.
    pub fn played(
        wanted: blocking::Sender<()>,
        typed: mpsc::UnboundedReceiver<Typed>,
        shown: impl FnMut(String) + Send + 'static,
        terminal: bool,
    ) -> Self {
        Self {
            ready: wanted,
            typed,
            early: VecDeque::new(),
            printer: Printer::to(shown),
            reading: false,
            terminal,
            tells: TELL,
            palette: Palette::PLAIN,
            screen: Arc::new(Screen::of(Layout::default(), || None)),
            board: Arc::default(),
            before: None,
            signals: None,
        }
    }

    /// How far a task is is told so often, where it cannot be drawn behind the prompt; every 15 s by default.
    #[must_use]
    pub const fn telling_every(mut self, period: Duration) -> Self {
        self.tells = period;
        self
    }

    /// Does a person sit there? Else the lines come from a file or a program, whose end is no wish to stop.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A console that writes above the prompt.
    #[must_use]
    pub fn console(&self) -> Console {
        let printer = self.printer.clone();
        let board = Arc::clone(&self.board);
        Console::lines_to(self.palette, Box::new(move |text| printer.print(text)))
            .with_screen(Arc::clone(&self.screen))
            .with_progress(move |text| board.progress(text))
    }

    pub(super) const fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub(super) const fn screen(&self) -> &Arc<Screen> {
        &self.screen
    }

    /// Can it show behind the prompt what changes by the second?
    pub(super) const fn redraws(&self) -> bool {
        self.printer.redraws()
    }

    /// How often that is to be shown.
    pub(super) const fn shows_every(&self) -> Duration {
        if self.redraws() { REDRAW } else { self.tells }
    }

    /// Shows what the board says now.
    pub(super) fn redraw(&self) {
        if self.reading {
            self.printer.redraw();
        }
    }

    /// Lets the next line be read, if none is being read.
    pub fn ready(&mut self) {
        if !self.reading && self.early.is_empty() {
            // A thread that has ended has sent its `End`.
            self.reading = self.printer.ready(&self.ready);
        }
    }

    /// The next thing typed. Safe to be dropped while it waits.
    pub async fn next(&mut self) -> Typed {
        match self.early.pop_front() {
            Some(typed) => typed,
            None => self.take().await,
        }
    }

    /// Waits for a wish to stop; lines that are typed meanwhile come [`next`](Self::next). Safe to be dropped.
    pub(super) async fn stopped(&mut self) {
        loop {
            match self.take().await {
                Typed::Line(line) => self.early.push_back(Typed::Line(line)),
                Typed::Interrupt => return,
                end @ (Typed::End | Typed::Hangup) => {
                    self.early.push_back(end);
                    // There is nothing more to come.
                    return std::future::pending().await;
                }
            }
        }
    }

    async fn take(&mut self) -> Typed {
        let signal = async {
            match &mut self.signals {
                Some(signals) => signals.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // A line is read on meanwhile.
            signal = signal => signal,
            typed = self.typed.recv() => {
                self.reading = false;
                typed.unwrap_or(Typed::End)
            }
        }
    }

    /// Writes what is still to be written, and leaves the terminal as it was found.
    pub fn let_go(&mut self) {
        self.printer.flush();
        if let Some(before) = self.before.take()
            && self.reading
        {
            before.restore();
        }
    }
}
