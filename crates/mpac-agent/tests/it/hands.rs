//! A brain for tests with several files: it says what was asked, and can be made to wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use mpac_agent::brain::{
    Brain, BrainError, Choice, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written,
};
use tokio::sync::{oneshot, watch};

/// Tells that it is reached, and waits to be let go on.
type Hold = (oneshot::Sender<()>, oneshot::Receiver<()>);

/// Replaces `old` by `new` in each file of its plan. Its forks share what they know.
#[derive(Clone)]
pub(crate) struct Hands {
    pub(crate) plan: Plan,
    /// The first file is written when the second is.
    pub(crate) after: BTreeMap<&'static str, &'static str>,
    pub(crate) model: Option<&'static str>,
    pub(crate) done: watch::Sender<BTreeSet<String>>,
    pub(crate) asked: Arc<Mutex<Vec<WriteAsk>>>,
    /// What comes before the answers about a file.
    pub(crate) fails: BTreeMap<&'static str, BrainError>,
    pub(crate) retries: bool,
    /// Whom it was asked about.
    pub(crate) about: watch::Sender<Vec<String>>,
    /// The first conflict is decided on when it was asked about the second.
    pub(crate) decides_after: BTreeMap<&'static str, &'static str>,
    pub(crate) yields_to: BTreeSet<&'static str>,
    /// Its first answer about these cannot be used.
    pub(crate) mumbles_about: BTreeSet<&'static str>,
    /// It thinks of one thing at a time.
    pub(crate) alone: bool,
    /// An answer has begun before it waits to be let go on.
    pub(crate) begins_early: bool,
    before_write: Arc<Mutex<Option<Hold>>>,
    before_commit: Arc<Mutex<Option<Hold>>>,
    before_decision: Arc<Mutex<Option<Hold>>>,
}

impl Hands {
    pub(crate) fn on(files: &[&str]) -> Self {
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        Self {
            plan: Plan { objective: "mend them".to_owned(), files, ..Plan::default() },
            after: BTreeMap::new(),
            model: None,
            done: watch::Sender::default(),
            asked: Arc::default(),
            fails: BTreeMap::new(),
            retries: false,
            about: watch::Sender::default(),
            decides_after: BTreeMap::new(),
            yields_to: BTreeSet::new(),
            mumbles_about: BTreeSet::new(),
            alone: false,
            begins_early: false,
            before_write: Arc::default(),
            before_commit: Arc::default(),
            before_decision: Arc::default(),
        }
    }

    /// It waits before the next commit: what tells that it does, and what lets it go on.
    pub(crate) fn hold(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        held(&self.before_commit)
    }

    /// It waits before its next text.
    pub(crate) fn hold_text(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        held(&self.before_write)
    }

    /// It waits before its next decision.
    pub(crate) fn hold_decision(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        held(&self.before_decision)
    }

    /// The files that were asked for, in the order in which they were.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|ask| ask.path.clone()).collect()
    }
}

fn held(at: &Mutex<Option<Hold>>) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
    let ((reached, told), (go_on, wait)) = (oneshot::channel(), oneshot::channel());
    *at.lock().unwrap() = Some((reached, wait));
    (told, go_on)
}

async fn wait(at: &Mutex<Option<Hold>>) {
    let held = at.lock().unwrap().take();
    if let Some((reached, wait)) = held {
        reached.send(()).unwrap();
        wait.await.unwrap();
    }
}

/// A call, which costs the same however it ends.
struct Bill<'a>(&'a Notes);

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        self.0.say(Note::Used(mpac_agent::brain::usage::Spent { calls: 1, ..Default::default() }));
    }
}

impl Brain for Hands {
    fn plan<'a>(&'a mut self, _: PlanAsk, _: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
        ready(Ok(self.plan.clone())).boxed()
    }

    fn decide_conflict<'a>(
        &'a mut self,
        ask: ConflictAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Decision, BrainError>> {
        async move {
            let mut about = self.about.subscribe();
            self.about.send_modify(|about| about.push(ask.other.clone()));
            wait(&self.before_decision).await;
            let other = ask.other.as_str();
            if let Some(first) = self.decides_after.get(other) {
                about.wait_for(|about| about.iter().any(|asked| asked == first)).await.unwrap();
            }
            notes.say(Note::Said(format!("thought about {other}")));
            if self.mumbles_about.contains(other) && ask.fault.is_none() {
                return Err(BrainError::Unusable(format!("mumbled about {other}")));
            }
            let choice = if self.yields_to.contains(other) { Choice::Yield } else { Choice::Proceed };
            Ok(Decision { choice, reason: "r".to_owned() })
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>> {
        async move {
            self.asked.lock().unwrap().push(ask.clone());
            let _bill = Bill(notes);
            if self.begins_early {
                notes.say(Note::Began);
            }
            wait(&self.before_write).await;
            let mut done = self.done.subscribe();
            if let Some(other) = self.after.get(ask.path.as_str()) {
                done.wait_for(|done| done.contains(*other)).await.unwrap();
            }
            if self.retries {
                let why = "the Messages API answered 529: busy".to_owned();
                notes.say(Note::Retrying { why, wait: std::time::Duration::ZERO });
            }
            if let Some(error) = self.fails.get(ask.path.as_str()) {
                return Err(error.clone());
            }
            let content = ask.content.replace("old", "new");
            notes.say(Note::Began);
            for line in content.split_inclusive('\n') {
                notes.say(Note::Text(line.to_owned()));
            }
            self.done.send_modify(|done| {
                done.insert(ask.path.clone());
            });
            Ok(Written { content, summary: None })
        }
        .boxed()
    }

    fn before_commit<'a>(&'a mut self, _: &'a Notes) -> BoxFuture<'a, Result<(), BrainError>> {
        async move {
            wait(&self.before_commit).await;
            Ok(())
        }
        .boxed()
    }

    fn fork(&self) -> Option<Box<dyn Brain>> {
        (!self.alone).then(|| -> Box<dyn Brain> { Box::new(self.clone()) })
    }

    fn model_id(&self) -> Option<String> {
        self.model.map(str::to_owned)
    }
}
