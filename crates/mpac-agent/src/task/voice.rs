//! What is said about several things at the same time, shown about one after the other.
//!
//! Each question has notes of its own. Those about the one in front are shown as they come; those about the others are held
//! back until it is their turn. So people, and whoever else listens, hear of one after the other, whichever is faster.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::Poll;

use tokio::sync::mpsc;

use super::think::Ear;
use crate::brain::{Note, Notes};
use crate::console::Style;
use crate::session::Session;

/// Where it is shown.
pub(super) type Stage<'s> = (&'s mut Session, &'s mut Ear);

/// What the brain says about one thing.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// Where it is heard, from the question to the answer.
    heard: Option<mpsc::UnboundedReceiver<Note>>,
    /// Something was said since the question.
    spoke: bool,
    /// What was said while others were in front.
    held: VecDeque<Held>,
}

#[derive(Debug)]
enum Held {
    Note(Note),
    Line(Style, String),
}

impl Voice {
    /// A question is asked: where the brain says something about it.
    pub(super) fn listen(&mut self, ear: &Ear) -> Notes {
        let (notes, heard) = ear.beside();
        (self.heard, self.spoke) = (Some(heard), false);
        notes
    }

    /// Asked, and nothing has come.
    pub(super) fn is_silent(&self) -> bool {
        !self.spoke && self.heard.as_ref().is_some_and(mpsc::UnboundedReceiver::is_empty)
    }

    /// Takes a note in: `shown` as what is being done, when this is in front.
    pub(super) fn hear(&mut self, (session, ear): Stage<'_>, shown: Option<&str>, note: Note) {
        self.spoke = true;
        match shown {
            Some(what) => ear.take(session, what, note),
            None => {
                ear.diagnose(session, &note);
                self.held.push_back(Held::Note(note));
            }
        }
    }

    /// A line for people.
    pub(super) fn say(&mut self, session: &mut Session, shown: bool, style: Style, text: String) {
        if shown {
            session.say(style, &text);
        } else {
            self.held.push_back(Held::Line(style, text));
        }
    }

    /// It is in front now: what was held back, as `what` is being done.
    pub(super) fn release(&mut self, (session, ear): Stage<'_>, what: &str) {
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Note(note) => ear.show(session, what, note),
                Held::Line(style, text) => session.say(style, &text),
            }
        }
    }

    /// There is an answer: all that was said before it has been said, and nothing more will be.
    pub(super) fn end(&mut self, (session, ear): Stage<'_>, shown: Option<&str>) {
        while let Some(note) = self.heard.as_mut().and_then(|heard| heard.try_recv().ok()) {
            self.hear((session, ear), shown, note);
        }
        self.heard = None;
    }
}

/// The next note about any of these, with its place; those in front first.
pub(super) fn next_note<T>(
    all: &mut [T],
    voice: impl Fn(&mut T) -> &mut Voice,
) -> impl Future<Output = (usize, Note)> {
    poll_fn(move |context| {
        for (at, one) in all.iter_mut().enumerate() {
            if let Some(heard) = &mut voice(one).heard
                && let Poll::Ready(Some(note)) = heard.poll_recv(context)
            {
                return Poll::Ready((at, note));
            }
        }
        Poll::Pending
    })
}
