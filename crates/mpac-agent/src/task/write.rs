//! Having files written, several at the same time, and shown one after the other.
//!
//! Each file has notes of its own. Those of the file in front, the first in order that is not settled, are shown as they
//! come; those of the others are held back until it is their turn. So people, and whoever else listens, see one file after
//! the other, whoever is faster. A file is settled when its diff was shown and, where somebody is asked, approved. Nothing
//! is sent.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::task::Poll;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mpac_wire::names::HeartbeatStatus;
use tokio::sync::{mpsc, oneshot};

use super::draft::{Draft, How, Wanted, check_size, remember, show};
use super::think::Ear;
use super::{TaskOptions, Worker};
use crate::brain::{Brain, BrainError, Note, Notes, OtherFile, Plan, WriteAsk, Written};
use crate::console::Style;
use crate::diff::LiveDiff;
use crate::error::AgentError;
use crate::report::count;
use crate::session::Session;

/// A file in work.
struct InWork {
    wanted: Wanted,
    /// What it says while it is written; closed before and after.
    heard: Option<mpsc::UnboundedReceiver<Note>>,
    /// What it said while others were in front.
    held: VecDeque<Held>,
    written: Option<Written>,
}

enum Held {
    Note(Note),
    Line(Style, String),
}

/// Somebody who writes one file at a time.
type Hand<'b> = &'b mut dyn Brain;

/// What came first.
enum Event<'b> {
    Heard(usize, Note),
    Written { at: usize, hand: Hand<'b>, ask: Box<WriteAsk>, answer: Result<Written, BrainError> },
    Answered(bool),
}

/// The files of one round.
struct Desk<'w> {
    session: &'w mut Session,
    ear: &'w mut Ear,
    options: &'w TaskOptions,
    /// What the task has changed so far.
    written: &'w mut Vec<OtherFile>,
    files: Vec<InWork>,
    /// The first that is not settled.
    front: usize,
    /// The heading of that one was shown.
    headed: bool,
    /// The first that nobody has begun.
    next: usize,
    /// Whether the file in front may be committed.
    asking: Option<oneshot::Receiver<bool>>,
    drafts: Vec<Draft>,
}

impl Worker<'_> {
    /// Has all of these written, or shows what is merged already, and asks for each whether it may be committed. `None` when
    /// the person said no to one; files that are as they should be are left out.
    pub(super) async fn draft(
        &mut self,
        plan: &Plan,
        wanted: Vec<Wanted>,
    ) -> Result<Option<Vec<Draft>>, AgentError> {
        let Self { session, brain, options, task, ear, written, .. } = self;
        for one in &wanted {
            session.watch_base(&one.path, &one.base.state_ref);
        }
        let to_write = wanted.iter().filter(|one| matches!(one.how, How::Write { .. })).count();
        let width = if plan.in_order { 1 } else { options.parallel_writes.clamp(1, to_write.max(1)) };
        let mut forks: Vec<Box<dyn Brain>> = (1..width).map_while(|_| brain.fork()).collect();
        if !forks.is_empty() {
            let at_once = forks.len() + 1;
            let text = format!("writing {}, {at_once} at the same time", count(to_write, "file"));
            session.say(Style::Dim, &text);
        }
        // The last is the first to work.
        let mut idle: Vec<Hand<'_>> = forks.iter_mut().map(|fork| -> Hand<'_> { &mut **fork }).collect();
        idle.push(&mut **brain);
        let mut desk = Desk::new((session, ear, options, written), wanted);
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(hand) = idle.pop() {
                let Some((at, ask, notes)) = desk.begin(task, plan) else {
                    idle.push(hand);
                    break;
                };
                running.push(write(at, hand, ask, notes));
            }
            if !desk.advance()? {
                return Ok(Some(desk.drafts));
            }
            let next = async {
                tokio::select! {
                    biased;
                    (at, note) = next_note(&mut desk.files) => Event::Heard(at, note),
                    Some(done) = running.next() => done,
                    answer = answer(&mut desk.asking) => Event::Answered(answer),
                }
            };
            match desk.session.meanwhile(next).await? {
                Event::Heard(at, note) => desk.hear(at, note),
                Event::Answered(false) => return Ok(None),
                Event::Answered(true) => desk.approved(),
                Event::Written { at, hand, ask, answer } => match desk.take(at, *ask, answer)? {
                    Some((ask, notes)) => running.push(write(at, hand, ask, notes)),
                    None => idle.push(hand),
                },
            }
        }
    }
}

async fn write<'b>(at: usize, hand: Hand<'b>, ask: WriteAsk, notes: Notes) -> Event<'b> {
    let answer = hand.write_file(ask.clone(), &notes).await;
    Event::Written { at, hand, ask: Box::new(ask), answer }
}

/// The next note of any file, those in front first.
fn next_note(files: &mut [InWork]) -> impl Future<Output = (usize, Note)> {
    poll_fn(move |context| {
        for (at, file) in files.iter_mut().enumerate() {
            if let Some(heard) = &mut file.heard
                && let Poll::Ready(Some(note)) = heard.poll_recv(context)
            {
                return Poll::Ready((at, note));
            }
        }
        Poll::Pending
    })
}

/// The person's answer; never without a question.
async fn answer(asking: &mut Option<oneshot::Receiver<bool>>) -> bool {
    match asking {
        Some(answered) => answered.await.unwrap_or(false),
        None => std::future::pending().await,
    }
}

impl<'w> Desk<'w> {
    fn new(
        (session, ear, options, written): (
            &'w mut Session,
            &'w mut Ear,
            &'w TaskOptions,
            &'w mut Vec<OtherFile>,
        ),
        wanted: Vec<Wanted>,
    ) -> Self {
        let file = |wanted| InWork { wanted, heard: None, held: VecDeque::new(), written: None };
        let files = wanted.into_iter().map(file).collect();
        let (front, next, headed, asking) = (0, 0, false, None);
        Self { session, ear, options, written, files, front, headed, next, asking, drafts: Vec::new() }
    }

    /// The next file that has to be written, and where what is said about it is heard. Those that are merged need nobody.
    fn begin(&mut self, task: &str, plan: &Plan) -> Option<(usize, WriteAsk, Notes)> {
        while let Some(file) = self.files.get_mut(self.next) {
            let at = self.next;
            self.next += 1;
            match file.wanted.ask(task, plan, self.written) {
                Some(ask) => return Some((at, ask, file.listen())),
                None => {
                    if let How::Merged(written) = &file.wanted.how {
                        file.written = Some(written.clone());
                    }
                }
            }
        }
        None
    }

    /// Shows the file in front as far as it has come, and the next when that one is settled. False when all are.
    fn advance(&mut self) -> Result<bool, AgentError> {
        while let Some(file) = self.files.get_mut(self.front) {
            if self.asking.is_some() {
                return Ok(true);
            }
            if !self.headed {
                self.headed = true;
                self.session.say(Style::Bold, &file.wanted.heading());
                let look = self.session.console().look();
                let Wanted { path, base, .. } = &file.wanted;
                self.ear.live = Some(LiveDiff::new(path, &base.content, look));
                for held in std::mem::take(&mut file.held) {
                    match held {
                        Held::Note(note) => self.ear.show(self.session, &progress(path), note),
                        Held::Line(style, text) => self.session.say(style, &text),
                    }
                }
            }
            let Some(written) = &file.written else { return Ok(true) };
            let (wanted, live) = (&file.wanted, self.ear.live.take());
            if written.content == wanted.base.content {
                let text = format!("{} already is as it should be", wanted.path);
                self.session.say(Style::Plain, &text);
                self.settle(false);
                continue;
            }
            show(self.session.console(), wanted, &written.content, live);
            if self.options.dry_run {
                self.settle(true);
                continue;
            }
            check_size(&wanted.path, written)?;
            match &self.options.approver {
                Some(approver) => {
                    self.asking = Some(approver.ask(&wanted.path, &wanted.base.content, &written.content));
                    self.session.set_status(HeartbeatStatus::AwaitingReview);
                }
                None => self.settle(true),
            }
        }
        Ok(false)
    }

    fn approved(&mut self) {
        self.asking = None;
        self.session.set_status(HeartbeatStatus::Working);
        self.settle(true);
    }

    /// The file in front is done with; `kept` when its new text may be committed.
    fn settle(&mut self, kept: bool) {
        if let Some(file) = self.files.get_mut(self.front)
            && let Some(written) = file.written.take()
            && kept
        {
            let (path, base) = (file.wanted.path.clone(), file.wanted.base.clone());
            self.drafts.push(Draft { path, base, written });
        }
        self.front += 1;
        self.headed = false;
    }

    /// Whether what this file says may be shown now.
    fn shows(&self, at: usize) -> bool {
        at == self.front && self.headed && self.asking.is_none()
    }

    fn hear(&mut self, at: usize, note: Note) {
        let shown = self.shows(at);
        let Some(file) = self.files.get_mut(at) else { return };
        // What is used up counts at once.
        if shown || matches!(note, Note::Used(_)) {
            self.ear.take(self.session, &progress(&file.wanted.path), note);
        } else {
            self.ear.diagnose(self.session, &note);
            file.held.push_back(Held::Note(note));
        }
    }

    fn say(&mut self, at: usize, style: Style, text: String) {
        if self.shows(at) {
            self.session.say(style, &text);
        } else if let Some(file) = self.files.get_mut(at) {
            file.held.push_back(Held::Line(style, text));
        }
    }

    /// Takes an answer in: the question to ask instead, when it cannot be used. There is one round of repair for an answer
    /// that is none; edits that do not apply even then are asked for as the whole text.
    fn take(
        &mut self,
        at: usize,
        mut ask: WriteAsk,
        answer: Result<Written, BrainError>,
    ) -> Result<Option<(WriteAsk, Notes)>, AgentError> {
        // All that was said about it has been said.
        while let Some(note) = self.files.get_mut(at).and_then(|file| file.heard.as_mut()?.try_recv().ok()) {
            self.hear(at, note);
        }
        let (what, why) = match answer {
            Ok(written) => {
                if let Some(file) = self.files.get_mut(at) {
                    if written.content != file.wanted.base.content {
                        let Wanted { path, base, .. } = &file.wanted;
                        remember(self.written, path, &base.content, &written.content);
                    }
                    (file.written, file.heard) = (Some(written), None);
                }
                return Ok(None);
            }
            Err(BrainError::Misfit(why)) if ask.fault.is_none() => ("the edits do not apply", why),
            Err(BrainError::Misfit(why)) if !ask.whole => {
                ask.whole = true;
                ("the edits do not apply again", why)
            }
            Err(BrainError::Unusable(why)) if ask.fault.is_none() => ("the answer is no file", why),
            Err(error) => return Err(error.into()),
        };
        let wanted = if ask.whole { "the whole file" } else { "another" };
        self.say(at, Style::Yellow, format!("{what} ({why}); asking for {wanted}"));
        ask.fault = Some(why);
        Ok(self.files.get_mut(at).map(|file| (ask, file.listen())))
    }
}

impl InWork {
    fn listen(&mut self) -> Notes {
        let (notes, heard) = Notes::channel();
        self.heard = Some(heard);
        notes
    }
}

fn progress(path: &str) -> String {
    format!("writing {path}")
}
