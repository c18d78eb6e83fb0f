//! The line editor, on a thread of its own because reading blocks.
//!
//! It reads one line each time it is told [`Keyboard::ready`], so that it is not left in the middle of a line, with the
//! terminal in raw mode, when the program ends.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex};

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use tokio::sync::mpsc;

use crate::console::{Console, Palette};
use crate::error::AgentError;

/// What came from the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A line, without its end.
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    End,
}

type Printer = Arc<Mutex<dyn FnMut(String) + Send>>;

/// Above the prompt; where there is no terminal, plainly to standard output.
fn printer(editor: &mut DefaultEditor) -> Printer {
    match editor.create_external_printer() {
        Ok(mut external) => Arc::new(Mutex::new(move |text: String| {
            // A terminal that is gone shows nothing; its end arrives as the end of the input.
            let _ = external.print(text);
        })),
        Err(_) => Arc::new(Mutex::new(|text: String| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        })),
    }
}

/// The reading thread, seen from outside.
pub struct Keyboard {
    ready: blocking::Sender<()>,
    typed: mpsc::UnboundedReceiver<Typed>,
    printer: Printer,
    /// A line is being read at the moment.
    reading: bool,
    terminal: bool,
    palette: Palette,
}

impl std::fmt::Debug for Keyboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyboard").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl Keyboard {
    /// Takes the terminal. The prompt is `name> `.
    ///
    /// # Errors
    /// [`AgentError::Terminal`].
    pub fn open(name: &str) -> Result<Self, AgentError> {
        let terminal = |error: ReadlineError| AgentError::Terminal(error.to_string());
        let mut editor = DefaultEditor::new().map_err(terminal)?;
        let printer = printer(&mut editor);
        let (ready, wanted) = blocking::channel::<()>();
        let (lines, typed) = mpsc::unbounded_channel();
        let prompt = format!("{name}> ");
        std::thread::spawn(move || {
            while wanted.recv().is_ok() {
                let read = match editor.readline(&prompt) {
                    Ok(line) => {
                        // History is a convenience of this one run.
                        let _ = editor.add_history_entry(&line);
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
        let terminal = std::io::stdin().is_terminal();
        Ok(Self { ready, typed, printer, reading: false, terminal, palette: Palette::of_stdout() })
    }

    /// A keyboard whose keys somebody else presses. For each line that is wanted `wanted` gets a word; what is shown
    /// goes to `shown`. A `terminal` is read all the time, anything else only when a line is wanted.
    pub fn played(
        wanted: blocking::Sender<()>,
        typed: mpsc::UnboundedReceiver<Typed>,
        shown: impl FnMut(String) + Send + 'static,
        terminal: bool,
    ) -> Self {
        let printer = Arc::new(Mutex::new(shown));
        Self { ready: wanted, typed, printer, reading: false, terminal, palette: Palette::PLAIN }
    }

    /// Does a person sit there? Else the lines come from a file or a program, whose end is no wish to stop.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// A console that writes above the prompt.
    #[must_use]
    pub fn console(&self) -> Console {
        let printer = Arc::clone(&self.printer);
        let sink = Box::new(move |text: String| {
            if let Ok(mut print) = printer.lock() {
                print(text);
            }
        });
        Console::lines_to(self.palette, sink)
    }

    /// Lets the next line be read, if none is being read.
    pub fn ready(&mut self) {
        if !self.reading {
            // A thread that has ended has sent its `End`.
            self.reading = self.ready.send(()).is_ok();
        }
    }

    /// The next thing typed. Safe to be dropped while it waits.
    pub async fn next(&mut self) -> Typed {
        let typed = self.typed.recv().await.unwrap_or(Typed::End);
        self.reading = false;
        typed
    }

    /// When a line is being read, waits for its end, so that the terminal is left as it was found.
    pub async fn let_go(&mut self) {
        if self.reading {
            self.next().await;
        }
    }
}
