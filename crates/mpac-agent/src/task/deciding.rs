//! Asking the brain about conflicts: about each rival once, and about all that are known at the same time.
//!
//! As many at once as [`parallel_writes`](super::TaskOptions::parallel_writes) says, where the brain can be [forked](Brain::fork), one
//! after the other where it cannot. A rival that is reported meanwhile, which a break can bring about, is asked about at once
//! too. People see the decisions in the order of the reports. The brain's own hand has the first question, the others are for
//! its forks; each has the repair of what it could not answer.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use mpac_wire::PrincipalId;
use mpac_wire::payload::conflict::ConflictReport;
use tokio::time::Instant;

use super::think::Ear;
use super::voice::{Voice, next_note};
use super::{Rival, Worker};
use crate::brain::{Brain, BrainError, Choice, ConflictAsk, Decision, Note, Notes, Plan};
use crate::console::Style;
use crate::error::AgentError;
use crate::session::Session;

/// A conflict that is being decided on.
struct Matter {
    rival: Rival,
    report: ConflictReport,
    voice: Voice,
    verdict: Option<Verdict>,
}

enum Verdict {
    Decided(Decision),
    /// The rival has stepped back for us already, or was decided about.
    SettledBefore,
}

/// Somebody who thinks about one conflict at a time.
enum Hand<'b> {
    Own(&'b mut dyn Brain),
    Fork(Box<dyn Brain>),
}

/// Those who are free.
struct Hands<'b> {
    own: Option<&'b mut dyn Brain>,
    /// Forks are made of this one, which is asked nothing: the own one may be busy.
    mould: Option<Box<dyn Brain>>,
    busy: usize,
    most: usize,
}

/// One question.
struct Job {
    at: usize,
    ask: ConflictAsk,
    notes: Notes,
}

/// What came first.
enum Event<'b> {
    Heard(usize, Note),
    Answered { at: usize, hand: Hand<'b>, ask: Box<ConflictAsk>, answer: Result<Decision, BrainError> },
}

/// The conflicts of one announce.
struct Matters<'w> {
    session: &'w mut Session,
    ear: &'w mut Ear,
    task: &'w str,
    plan: &'w Plan,
    settled_with: &'w BTreeSet<PrincipalId>,
    /// About these it was decided before.
    beside: &'w [Rival],
    all: Vec<Matter>,
    /// The first that was not shown.
    front: usize,
    /// Those before this one have been asked about, or need it not.
    begun: usize,
}

impl Worker<'_> {
    /// Every rival, in the order of the reports, with what was decided about it. `settled_with` have stepped back for us
    /// already.
    pub(super) async fn decide(
        &mut self,
        plan: &Plan,
        settled_with: &BTreeSet<PrincipalId>,
    ) -> Result<Vec<(Rival, Choice)>, AgentError> {
        let Self { session, brain, options, task, ear, beside, .. } = self;
        let mut hands = Hands::new(&mut **brain, options.parallel_writes);
        let (all, front, begun) = (Vec::new(), 0, 0);
        let mut matters = Matters { session, ear, task, plan, settled_with, beside, all, front, begun };
        let mut running = FuturesUnordered::new();
        loop {
            matters.take_in();
            while let Some(at) = matters.next()
                && let Some(hand) = hands.take()
            {
                matters.begun = at + 1;
                running.push(think_about(hand, matters.job(at)));
            }
            matters.advance();
            if running.is_empty() {
                return Ok(matters.all.into_iter().map(Matter::decided).collect());
            }
            let next = async {
                tokio::select! {
                    biased;
                    (at, note) = next_note(&mut matters.all, |matter| &mut matter.voice) => Event::Heard(at, note),
                    Some(done) = running.next() => done,
                }
            };
            match matters.session.meanwhile_or(next, Session::has_undecided).await? {
                // A rival was reported.
                None => {}
                Some(Event::Heard(at, note)) => {
                    let shown = matters.shown(at);
                    matters.all[at].voice.hear((matters.session, matters.ear), shown.as_deref(), note);
                }
                Some(Event::Answered { at, hand, ask, answer }) => match matters.take(at, *ask, answer)? {
                    Some(job) => running.push(think_about(hand, job)),
                    None => hands.put(hand),
                },
            }
        }
    }
}

async fn think_about(mut hand: Hand<'_>, Job { at, ask, notes }: Job) -> Event<'_> {
    let brain = match &mut hand {
        Hand::Own(brain) => &mut **brain,
        Hand::Fork(brain) => &mut **brain,
    };
    let answer = brain.decide_conflict(ask.clone(), &notes).await;
    Event::Answered { at, hand, ask: Box::new(ask), answer }
}

impl<'b> Hands<'b> {
    fn new(own: &'b mut dyn Brain, most: usize) -> Self {
        Self { own: Some(own), mould: None, busy: 0, most: most.max(1) }
    }

    fn take(&mut self) -> Option<Hand<'b>> {
        if self.busy >= self.most {
            return None;
        }
        let hand = match self.own.take() {
            Some(own) => {
                if self.mould.is_none() && self.most > 1 {
                    self.mould = own.fork();
                }
                Hand::Own(own)
            }
            None => Hand::Fork(self.mould.as_ref()?.fork()?),
        };
        self.busy += 1;
        Some(hand)
    }

    fn put(&mut self, hand: Hand<'b>) {
        self.busy -= 1;
        if let Hand::Own(own) = hand {
            self.own = Some(own);
        }
    }
}

impl Matters<'_> {
    /// The reports that have come. Each rival counts once.
    fn take_in(&mut self) {
        for report in self.session.take_undecided() {
            let Some(rival) = self.rival(&report) else { continue };
            if self.all.iter().all(|known| known.rival != rival) {
                let settled = self.settled_with.contains(&rival.principal) || self.beside.contains(&rival);
                let verdict = settled.then_some(Verdict::SettledBefore);
                self.all.push(Matter { rival, report, voice: Voice::default(), verdict });
            }
        }
    }

    fn rival(&mut self, report: &ConflictReport) -> Option<Rival> {
        let own = self.session.own()?.id.clone();
        let other = self.session.view_mut().other_side(report, &own, Instant::now())?;
        Some(Rival { principal: other.principal, intent: other.intent })
    }

    /// The next that somebody has to think about.
    fn next(&self) -> Option<usize> {
        let open = self.all.iter().skip(self.begun).position(|matter| matter.verdict.is_none())?;
        Some(self.begun + open)
    }

    fn job(&mut self, at: usize) -> Job {
        let Matter { rival, report, voice, .. } = &mut self.all[at];
        let theirs = rival.intent.as_ref().and_then(|id| self.session.view().intent(id)).cloned();
        let ask = ConflictAsk {
            task: self.task.to_owned(),
            plan: self.plan.clone(),
            category: report.category.to_string(),
            severity: report.severity.to_string(),
            other: rival.principal.to_string(),
            other_objective: theirs.as_ref().and_then(|intent| intent.objective.clone()),
            other_files: theirs.map(|intent| intent.files).unwrap_or_default(),
            description: report.description.clone(),
            fault: None,
        };
        Job { at, ask, notes: voice.listen(self.ear) }
    }

    /// What is being done, when that may be shown now.
    fn shown(&self, at: usize) -> Option<String> {
        (at == self.front).then(|| self.all[at].doing())
    }

    /// Shows what is known about the one in front, and then about the next.
    fn advance(&mut self) {
        while let Some(matter) = self.all.get_mut(self.front) {
            let doing = matter.doing();
            matter.voice.release((self.session, self.ear), &doing);
            let Some(verdict) = &matter.verdict else { return };
            self.session.say(Style::Yellow, &verdict.line(&matter.rival));
            self.front += 1;
        }
    }

    /// Takes an answer in: the question to ask instead, when it is no decision. There is one round of repair.
    fn take(
        &mut self,
        at: usize,
        mut ask: ConflictAsk,
        answer: Result<Decision, BrainError>,
    ) -> Result<Option<Job>, AgentError> {
        let shown = self.shown(at);
        let Matter { voice, verdict, .. } = &mut self.all[at];
        voice.end((self.session, self.ear), shown.as_deref());
        let why = match answer {
            Ok(decision) => {
                *verdict = Some(Verdict::Decided(decision));
                return Ok(None);
            }
            Err(BrainError::Unusable(why)) if ask.fault.is_none() => why,
            Err(error) => return Err(error.into()),
        };
        let text = format!("the answer is no decision ({why}); asking for another");
        voice.say(self.session, shown.is_some(), Style::Yellow, text);
        ask.fault = Some(why);
        Ok(Some(Job { at, ask, notes: voice.listen(self.ear) }))
    }
}

impl Matter {
    fn doing(&self) -> String {
        format!("deciding about {}", self.rival.principal)
    }

    fn decided(self) -> (Rival, Choice) {
        let choice = match self.verdict {
            Some(Verdict::Decided(decision)) => decision.choice,
            // All are thought about when this is asked.
            Some(Verdict::SettledBefore) | None => Choice::Proceed,
        };
        (self.rival, choice)
    }
}

impl Verdict {
    fn line(&self, rival: &Rival) -> String {
        let who = &rival.principal;
        match self {
            Self::SettledBefore => format!("settled before with {who}"),
            Self::Decided(Decision { choice: Choice::Proceed, reason }) => {
                format!("decision: proceed beside {who} ({reason})")
            }
            Self::Decided(Decision { choice: Choice::Yield, reason }) => {
                format!("decision: yield to {who} ({reason})")
            }
        }
    }
}
