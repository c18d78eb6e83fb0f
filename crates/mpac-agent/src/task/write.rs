//! Having files written, several at the same time, and shown one after the other.
//!
//! What is said about the file in front, the first in order that is not settled, is shown as it comes (`voice`). A file is
//! settled when its diff was shown and, where somebody is asked, approved. Nothing is sent.

mod overtaken;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mpac_wire::names::HeartbeatStatus;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::draft::{Draft, How, Wanted, check_size, remember, show};
use super::think::Ear;
use super::voice::{Voice, next_note};
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
    voice: Voice,
    /// The question that is being answered.
    asked: Option<Asked>,
    /// How often the file was overtaken before anything of its text had come.
    overtaken: u32,
    written: Option<Written>,
}

struct Asked {
    since: Instant,
    /// Calls the question off.
    off: oneshot::Sender<()>,
}

/// One question.
struct Job {
    at: usize,
    ask: WriteAsk,
    notes: Notes,
    called_off: oneshot::Receiver<()>,
}

/// Somebody who writes one file at a time.
type Hand<'b> = &'b mut dyn Brain;

/// What came first.
enum Event<'b> {
    Heard(usize, Note),
    Written {
        at: usize,
        hand: Hand<'b>,
        ask: Box<WriteAsk>,
        answer: Result<Written, BrainError>,
    },
    /// The question about this file was called off.
    Off {
        at: usize,
        hand: Hand<'b>,
    },
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
                let Some(job) = desk.begin(task, plan) else {
                    idle.push(hand);
                    break;
                };
                running.push(write(hand, job));
            }
            if !desk.advance()? {
                return Ok(Some(desk.drafts));
            }
            let young = desk.young();
            let next = async {
                tokio::select! {
                    biased;
                    (at, note) = next_note(&mut desk.files, |file| &mut file.voice) => Event::Heard(at, note),
                    Some(done) = running.next() => done,
                    answer = answer(&mut desk.asking) => Event::Answered(answer),
                }
            };
            let overtaken = |session: &Session| young.iter().any(|path| session.is_known_to_move(path));
            match desk.session.meanwhile_or(next, overtaken).await? {
                None => desk.call_off().await?,
                Some(Event::Heard(at, note)) => desk.hear(at, note),
                Some(Event::Answered(false)) => return Ok(None),
                Some(Event::Answered(true)) => desk.approved(),
                Some(Event::Written { at, hand, ask, answer }) => match desk.take(at, *ask, answer)? {
                    Some(job) => running.push(write(hand, job)),
                    None => idle.push(hand),
                },
                Some(Event::Off { at, hand }) => match desk.files[at].wanted.ask(task, plan, desk.written) {
                    Some(ask) => running.push(write(hand, desk.job(at, ask))),
                    None => idle.push(hand),
                },
            }
        }
    }
}

async fn write<'b>(hand: Hand<'b>, Job { at, ask, notes, called_off }: Job) -> Event<'b> {
    let answer = tokio::select! {
        biased;
        Ok(()) = called_off => return Event::Off { at, hand },
        answer = hand.write_file(ask.clone(), &notes) => answer,
    };
    Event::Written { at, hand, ask: Box::new(ask), answer }
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
        let file =
            |wanted| InWork { wanted, voice: Voice::default(), asked: None, overtaken: 0, written: None };
        let files = wanted.into_iter().map(file).collect();
        let (front, next, headed, asking) = (0, 0, false, None);
        Self { session, ear, options, written, files, front, headed, next, asking, drafts: Vec::new() }
    }

    /// The next file that has to be written. Those that are merged need nobody.
    fn begin(&mut self, task: &str, plan: &Plan) -> Option<Job> {
        while let Some(file) = self.files.get_mut(self.next) {
            let at = self.next;
            self.next += 1;
            match file.wanted.ask(task, plan, self.written) {
                Some(ask) => return Some(self.job(at, ask)),
                None => {
                    if let How::Merged(written) = &file.wanted.how {
                        file.written = Some(written.clone());
                    }
                }
            }
        }
        None
    }

    fn job(&mut self, at: usize, ask: WriteAsk) -> Job {
        let (off, called_off) = oneshot::channel();
        let file = &mut self.files[at];
        file.asked = Some(Asked { since: Instant::now(), off });
        Job { at, ask, notes: file.voice.listen(self.ear), called_off }
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
                file.voice.release((self.session, self.ear), &progress(path));
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

    /// What is being done with this file, when that may be shown now.
    fn shown(&self, at: usize) -> Option<String> {
        let shown = at == self.front && self.headed && self.asking.is_none();
        shown.then(|| progress(&self.files[at].wanted.path))
    }

    fn hear(&mut self, at: usize, note: Note) {
        let shown = self.shown(at);
        self.files[at].voice.hear((self.session, self.ear), shown.as_deref(), note);
    }

    /// Takes an answer in: the question to ask instead, when it cannot be used. There is one round of repair for an answer
    /// that is none; edits that do not apply even then are asked for as the whole text.
    fn take(
        &mut self,
        at: usize,
        mut ask: WriteAsk,
        answer: Result<Written, BrainError>,
    ) -> Result<Option<Job>, AgentError> {
        let shown = self.shown(at);
        let file = &mut self.files[at];
        file.voice.end((self.session, self.ear), shown.as_deref());
        file.asked = None;
        let (what, why) = match answer {
            Ok(written) => {
                let Wanted { path, base, .. } = &file.wanted;
                if written.content != base.content {
                    remember(self.written, path, &base.content, &written.content);
                }
                file.written = Some(written);
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
        let text = format!("{what} ({why}); asking for {wanted}");
        file.voice.say(self.session, shown.is_some(), Style::Yellow, text);
        ask.fault = Some(why);
        Ok(Some(self.job(at, ask)))
    }
}

fn progress(path: &str) -> String {
    format!("writing {path}")
}
