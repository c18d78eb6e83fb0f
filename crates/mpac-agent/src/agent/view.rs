//! How the session stands, by all that has arrived.

use std::collections::BTreeMap;
use std::time::SystemTime;

use mpac_core::participant::{Participant, Standing};
use mpac_core::scope::{normalize, same_path};
use mpac_wire::names::{ConflictCategory, ConflictState, ExecutionModel, Severity};
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::session::SessionInfo;
use mpac_wire::{
    ConflictId, DeferralId, IntentId, PrincipalId, Scope, Seconds, SessionId, StateRef, Timestamp,
};
use serde::Serialize;

use super::book::Book;
use crate::view::View;

/// How the session stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Which session.
    pub session_id: SessionId,
    /// Who we are.
    pub me: PrincipalId,
    /// What the coordinator lets us be.
    pub roles: Vec<String>,
    /// The protocol level of the session.
    pub level: String,
    /// `post_commit` or `pre_commit` (SES-06).
    pub execution_model: String,
    /// Whether a summary has told of what was before we joined. Without one only what was heard since is here.
    pub is_complete: bool,
    /// The others that have been heard of, ourselves too where a summary lists us.
    pub people: Vec<Person>,
    /// Live intents, own ones first.
    pub intents: Vec<KnownIntent>,
    /// Conflicts that are not settled.
    pub conflicts: Vec<Conflict>,
    /// Who has stepped back from what.
    pub deferrals: Vec<Deferral>,
    /// The files that were read, listed or changed, with the state each was last heard to be in.
    pub files: BTreeMap<String, KnownFile>,
}

/// Somebody in the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Person {
    /// Who.
    pub principal_id: PrincipalId,
    /// For people, where a summary says it.
    pub display_name: Option<String>,
    /// Likewise.
    pub roles: Vec<String>,
    /// `idle`, `working`, ..., likewise.
    pub status: Option<String>,
    /// Whether the coordinator hears of it, likewise.
    pub available: Option<bool>,
}

/// A live intent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KnownIntent {
    /// Which.
    pub intent_id: IntentId,
    /// Whose.
    pub principal_id: PrincipalId,
    /// Whether it is ours.
    pub own: bool,
    /// In the owner's words; `None` when only a conflict or a refusal spoke of it.
    pub objective: Option<String>,
    /// What it covers, likewise.
    pub scope: Option<Scope>,
    /// It is suspended, and can be claimed.
    pub suspended: bool,
    /// Seconds until it expires, if nothing more is heard of it (INT-05); `None` for one of which only a summary told, which
    /// does not say that.
    pub expires_in_sec: Option<f64>,
}

/// A conflict that is not settled.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// Which.
    pub conflict_id: ConflictId,
    /// What kind.
    pub category: ConflictCategory,
    /// How bad, where a report or a summary said it.
    pub severity: Option<Severity>,
    /// OPEN, ACKED or ESCALATED.
    pub state: ConflictState,
    /// Who is in it.
    pub principals: Vec<PrincipalId>,
    /// Which intents are in it.
    pub intents: Vec<IntentId>,
    /// With whom it is, once escalated.
    pub escalated_to: Option<PrincipalId>,
    /// In the words of its report.
    pub description: Option<String>,
    /// It concerns us and we have not acknowledged it (CON-20).
    pub unacknowledged: bool,
}

/// Somebody stepped back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Deferral {
    /// Which.
    pub deferral_id: DeferralId,
    /// Who.
    pub principal_id: PrincipalId,
    /// From what.
    pub scope: Option<Scope>,
    /// Seconds until it is over.
    pub expires_in_sec: f64,
}

/// A file's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KnownFile {
    /// The state it was last heard to be in.
    pub state_ref: StateRef,
    /// Who brought it there, when that was heard.
    pub updated_by: Option<PrincipalId>,
}

impl Person {
    pub(super) fn of(principal_id: PrincipalId) -> Self {
        Self { principal_id, display_name: None, roles: Vec::new(), status: None, available: None }
    }
}

impl KnownIntent {
    /// The files it names; none for one of another kind.
    #[must_use]
    pub fn files(&self) -> &[String] {
        self.scope.as_ref().and_then(|scope| scope.resources.as_deref()).unwrap_or_default()
    }

    /// Whether it names this file, in whatever spelling (SCO-03).
    #[must_use]
    pub fn covers(&self, file: &str) -> bool {
        let normal = normalize(file);
        self.files().iter().any(|it| same_path(it, &normal))
    }
}

impl Conflict {
    /// As the coordinator would report it: each side is an intent with whoever owns it, by the `live` ones. Lists of both may be
    /// in any order.
    pub(super) fn report(self, live: &[KnownIntent]) -> ConflictReport {
        // Only one that nobody has told of by report or summary has no severity.
        let severity = self.severity.unwrap_or(Severity::Medium);
        let mut report = ConflictReport::new(self.conflict_id, self.category, severity);
        let mut intents = self.intents.iter();
        let (a, b) = (intents.next(), intents.next());
        let owner = |side: Option<&IntentId>| {
            live.iter().find(|it| Some(&it.intent_id) == side).map(|it| &it.principal_id)
        };
        // An intent that is over, or that is not told, leaves whoever does not own the other one.
        let other = |known: Option<&PrincipalId>| {
            known.and_then(|known| self.principals.iter().find(|who| *who != known))
        };
        let (owner_a, owner_b) = (owner(a), owner(b));
        report.principal_a = owner_a.or_else(|| other(owner_b)).cloned();
        report.principal_b = owner_b.or_else(|| other(owner_a)).cloned();
        (report.intent_a, report.intent_b) = (a.cloned(), b.cloned());
        report.description = self.description;
        report.related_intents = Some(self.intents);
        report.involved_principals = Some(self.principals);
        report
    }
}

impl Snapshot {
    /// The live intents of this principal.
    pub fn intents_of<'a>(&'a self, who: &'a PrincipalId) -> impl Iterator<Item = &'a KnownIntent> {
        self.intents.iter().filter(move |intent| intent.principal_id == *who)
    }

    /// The own usable intents that name some of these files, each with how many. Another one on them may take their place
    /// (LCK-06).
    pub(crate) fn own_on<'a>(
        &'a self,
        files: &'a [String],
    ) -> impl Iterator<Item = (&'a KnownIntent, usize)> {
        let own = self.intents.iter().filter(|intent| intent.own && !intent.suspended);
        own.map(|intent| (intent, files.iter().filter(|file| intent.covers(file)).count()))
            .filter(|(_, covered)| *covered > 0)
    }

    pub(super) fn of(participant: &Participant, view: &View, book: &Book, info: &SessionInfo) -> Self {
        let now = now();
        let model = info.execution_model.as_ref().unwrap_or(&ExecutionModel::PostCommit);
        Self {
            session_id: info.session_id.clone(),
            me: view.me().clone(),
            roles: info.granted_roles.iter().map(ToString::to_string).collect(),
            level: info.protocol_version.clone(),
            execution_model: model.to_string(),
            is_complete: book.is_complete,
            people: book.people.values().cloned().collect(),
            intents: intents(participant, book, now),
            conflicts: conflicts(participant, book),
            deferrals: participant
                .deferrals()
                .filter(|(_, it)| it.until > now)
                .map(|(id, it)| Deferral {
                    deferral_id: id.clone(),
                    principal_id: it.principal.clone(),
                    scope: it.scope.clone(),
                    expires_in_sec: seconds(&it.until.since(now)),
                })
                .collect(),
            files: book.files.clone(),
        }
    }
}

fn intents(participant: &Participant, book: &Book, now: Timestamp) -> Vec<KnownIntent> {
    let me = &participant.sender().principal_id;
    let own = participant.intents().iter().filter(|(_, own)| own.expires.is_none_or(|at| at > now)).map(
        |(id, own)| KnownIntent {
            intent_id: id.clone(),
            principal_id: me.clone(),
            own: true,
            objective: Some(own.announced.objective.clone()),
            scope: Some(own.announced.scope.clone()),
            suspended: own.standing == Standing::Suspended,
            expires_in_sec: own.expires.map(|at| seconds(&at.since(now))),
        },
    );
    let lives =
        |it: &mpac_core::participant::OtherIntent| it.standing == Standing::Suspended || it.expires > now;
    let others = participant.others().filter(|(_, it)| lives(it)).map(|(id, it)| KnownIntent {
        intent_id: id.clone(),
        principal_id: it.owner.clone(),
        own: false,
        objective: book.objectives.get(id).cloned(),
        scope: it.scope.clone(),
        suspended: it.standing == Standing::Suspended,
        expires_in_sec: (it.expires > now).then(|| seconds(&it.expires.since(now))),
    });
    own.chain(others).collect()
}

fn conflicts(participant: &Participant, book: &Book) -> Vec<Conflict> {
    let unacknowledged: Vec<&ConflictId> = participant.unacknowledged().collect();
    let known = participant.conflicts().map(|(id, it)| {
        let words = book.words.get(id);
        Conflict {
            conflict_id: id.clone(),
            category: it.category.clone(),
            severity: words.map(|words| words.severity.clone()),
            state: it.state.clone(),
            principals: it.principals.clone(),
            intents: it.intents.clone(),
            escalated_to: it.escalated_to.clone(),
            description: words.and_then(|words| words.description.clone()),
            unacknowledged: unacknowledged.contains(&id),
        }
    });
    known.collect()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a duration for people, exact to the microsecond for 285 years"
)]
pub(super) fn seconds(duration: &Seconds) -> f64 {
    duration.micros() as f64 / 1e6
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr>(text: &str) -> T {
        text.parse().unwrap_or_else(|_| unreachable!("it is not empty"))
    }

    fn live(intent: &str, owner: &str) -> KnownIntent {
        KnownIntent {
            intent_id: id(intent),
            principal_id: id(owner),
            own: owner == "agent:Bob",
            objective: None,
            scope: None,
            suspended: false,
            expires_in_sec: None,
        }
    }

    #[test]
    fn a_known_conflict_is_reported_with_each_intent_beside_its_owner() {
        let conflict = Conflict {
            conflict_id: id("c"),
            category: ConflictCategory::ScopeOverlap,
            severity: None,
            state: ConflictState::Open,
            principals: vec![id("agent:Anna"), id("agent:Bob")],
            intents: vec![id("bobs"), id("annas")],
            escalated_to: None,
            description: None,
            unacknowledged: true,
        };
        let both = [live("annas", "agent:Anna"), live("bobs", "agent:Bob")];
        // Of Anna's it is known, or it is over.
        for live in [&both[..], &both[1..]] {
            let report = conflict.clone().report(live);
            assert_eq!((report.intent_a, report.principal_a), (Some(id("bobs")), Some(id("agent:Bob"))));
            assert_eq!((report.intent_b, report.principal_b), (Some(id("annas")), Some(id("agent:Anna"))));
        }
        let alone = Conflict { principals: vec![id("agent:Bob")], intents: vec![id("bobs")], ..conflict };
        let report = alone.report(&both);
        assert_eq!((report.principal_a, report.principal_b), (Some(id("agent:Bob")), None));
    }
}
