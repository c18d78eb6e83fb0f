//! Waiting for the brain, and showing what it says meanwhile.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::agent::Teller;
use crate::brain::usage::Spent;
use crate::brain::{Note, Notes};
use crate::console::Style;
use crate::diff::LiveDiff;
use crate::error::AgentError;
use crate::report::{bytes, one_line};
use crate::session::Session;

use super::TaskOptions;
use super::health::Shown;
use super::spending::Spending;

/// So much of the end of a text that is still coming is shown, so that the line fits a terminal.
const SHOWN_CHARS: usize = 40;

/// Hears what the brain says during one task.
#[derive(Debug)]
pub(super) struct Ear {
    heard: mpsc::UnboundedReceiver<Note>,
    listener: Option<Notes>,
    spending: Spending,
    /// The model that heartbeats speak of.
    model: Option<String>,
    /// The end of the text that is coming, and its length in bytes.
    tail: String,
    size: usize,
    /// The file that is being written.
    pub(super) live: Option<LiveDiff>,
}

impl Ear {
    /// With the notes that it hears.
    pub(super) fn new(options: &TaskOptions, model: Option<String>, teller: Option<Teller>) -> (Notes, Self) {
        let spending = Spending::new(options, teller);
        let (notes, heard) = spending.notes();
        let (listener, tail) = (options.listener.clone(), String::new());
        (notes, Self { heard, listener, spending, model, tail, size: 0, live: None })
    }

    /// Notes of one question among several, which are heard elsewhere and count here.
    pub(super) fn beside(&self) -> (Notes, mpsc::UnboundedReceiver<Note>) {
        self.spending.notes()
    }

    /// What a note shows of the model's health is told to the others (BHM-01).
    pub(super) fn diagnose(&self, session: &Session, note: &Note) {
        if let Some((model, shown)) = self.model.clone().zip(Shown::by(note)) {
            session.report_health(model, shown.status, shown.detail);
        }
    }

    /// What the task has used up, when anything was counted. What is still to be told is shown before.
    pub(super) fn spent(&mut self, session: &mut Session) -> Option<Spent> {
        self.catch_up(session, "");
        Some(self.spending.spent()).filter(|spent| spent.calls > 0)
    }

    fn catch_up(&mut self, session: &mut Session, what: &str) {
        while let Ok(note) = self.heard.try_recv() {
            self.take(session, what, note);
        }
    }

    /// Takes a note in as it comes; `what` is being done.
    pub(super) fn take(&mut self, session: &mut Session, what: &str, note: Note) {
        self.diagnose(session, &note);
        self.show(session, what, note);
    }

    /// Shows one note. One that was held back says nothing of how the model is by now.
    pub(super) fn show(&mut self, session: &mut Session, what: &str, note: Note) {
        if let Note::Used(_) = note {
            return; // it was counted, and told, when it was said
        }
        if let Some(listener) = &self.listener {
            listener.say(note.clone());
        }
        let console = session.console();
        match note {
            Note::Began => {
                self.tail.clear();
                self.size = 0;
                if let Some(live) = &mut self.live {
                    live.restart();
                }
            }
            Note::Received(size) => {
                self.size = size;
                console.progress(&self.progress(what));
            }
            Note::Text(text) => match &mut self.live {
                Some(live) => console.block(&live.push(&text)),
                None => {
                    self.tail.push_str(&text);
                    console.progress(&self.progress(what));
                }
            },
            Note::Edit(edit) => {
                let lines = self.live.as_mut().map(|live| live.edit(&edit));
                console.block(&lines.unwrap_or_default());
            }
            Note::Said(text) => console.say(Style::Dim, &format!("  {}", one_line(&text))),
            Note::Used(_) => {}
            Note::Retrying { why, wait } => console.say(Style::Yellow, &again(&why, wait)),
            Note::WaitingFor(event) => console.say(Style::Dim, &format!("waiting for {event}")),
        }
    }

    fn progress(&self, what: &str) -> String {
        let mut line = format!("  {what}: {} so far", bytes(self.size));
        if !self.tail.is_empty() {
            let tail = one_line(&self.tail);
            let skip = tail.chars().count().saturating_sub(SHOWN_CHARS);
            line.push_str(": ");
            line.extend(tail.chars().skip(skip));
        }
        line
    }
}

fn again(why: &str, wait: Duration) -> String {
    format!("{why}; trying again in {:.1} s", wait.as_secs_f32())
}

/// Lets the brain think while everything that arrives is taken in.
pub(super) async fn think<T>(
    session: &mut Session,
    ear: &mut Ear,
    what: &str,
    thought: impl Future<Output = T>,
) -> Result<T, AgentError> {
    let mut thought = std::pin::pin!(thought);
    loop {
        let next = async {
            tokio::select! {
                biased;
                note = ear.heard.recv() => Err(note),
                done = &mut thought => Ok(done),
            }
        };
        match session.meanwhile(next).await? {
            Ok(done) => {
                ear.catch_up(session, what);
                return Ok(done);
            }
            // The notes' other end is held by whoever called, so there is always one.
            Err(note) => note.into_iter().for_each(|note| ear.take(session, what, note)),
        }
    }
}
