//! A conflict that was found: registered, and told to those it concerns (CON-01, CON-05).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory, Severity};
use mpac_wire::payload::{Basis, ConflictReport};
use mpac_wire::{ConflictId, IntentId, MessageId, OpId, PrincipalId, Raw, Watermark};

use super::super::gate::sorted;
use super::super::governance::timeout;
use super::super::outbox::Outbox;
use super::super::records::{Conflict, Side};
use super::super::state::Session;
use super::part::Part;
use crate::config::ReportAudience;
use crate::output::Recipients;
use crate::table::conflict::State;

/// A conflict that is about to be registered.
pub(super) struct Found {
    pub(super) category: ConflictCategory,
    pub(super) severity: Severity,
    pub(super) kind: BasisKind,
    pub(super) rule: &'static str,
    pub(super) description: String,
    pub(super) principals: Vec<PrincipalId>,
    pub(super) intents: Vec<IntentId>,
    pub(super) ops: Vec<OpId>,
    pub(super) a: Option<Side>,
    pub(super) b: Option<Side>,
    /// What they overlap in, for overlaps of scopes.
    pub(super) part: Option<Part>,
    /// Which files and symbols, for dependencies.
    pub(super) dependency: Option<Raw>,
}

impl Found {
    /// Between two intents, the newer one first; `common` goes on after their names.
    pub(super) fn between(
        session: &Session,
        (new, old): (&IntentId, &IntentId),
        category: ConflictCategory,
        (kind, rule): (BasisKind, &'static str),
        common: &str,
    ) -> Option<Self> {
        let owner = |id: &IntentId| session.intents.get(id).map(|record| record.owner.clone());
        let (a, b) = (owner(new)?, owner(old)?);
        Some(Self {
            category,
            severity: Severity::Medium,
            kind,
            rule,
            description: alloc::format!("{new} of {a} and {old} of {b} {common}"),
            principals: sorted([a.clone(), b.clone()]),
            intents: [new.clone(), old.clone()].into(),
            ops: Vec::new(),
            a: Some((a, Some(new.clone()))),
            b: Some((b, Some(old.clone()))),
            part: None,
            dependency: None,
        })
    }
}

/// Registers a conflict and tells those it concerns, `governing` among them. `*_a` is the newer side, `*_b` the older
/// (`spec/wire.md` §6.18).
pub(super) fn report(session: &mut Session, out: &mut Outbox, found: Found, governing: &[PrincipalId]) {
    // A UUID's text is never empty.
    let mut draw =
        || ConflictId::new(session.ids.next_uuid()).unwrap_or_else(|_| unreachable!("a UUID is not empty"));
    let mut id = draw();
    // A participant may have guessed it: nothing is written over.
    while session.conflicts.contains_key(&id) {
        id = draw();
    }
    let to = audience(session, &found.principals, governing);
    report_to(session, out, id, found, to);
}

/// The rule of the next.
pub(in super::super) const DIVERGENCE: &str = "state.divergence.v1";

/// What a participant knows and the recovered coordinator does not: settled by those who govern, whoever else hears of
/// conflicts (REC-30). Nothing that could end by itself is related.
pub(in super::super) fn divergence(
    session: &mut Session,
    out: &mut Outbox,
    id: ConflictId,
    principal: &PrincipalId,
    (what, description): (&[String], String),
) {
    let to = Recipients::Only(sorted(governing(session).into_iter().chain([principal.clone()])));
    let found = Found {
        category: ConflictCategory::ConcurrentWrite,
        severity: Severity::High,
        kind: BasisKind::Rule,
        rule: DIVERGENCE,
        description,
        principals: [principal.clone()].into(),
        intents: Vec::new(),
        ops: Vec::new(),
        a: Some((principal.clone(), None)),
        b: None,
        part: Some(Part::named(what)),
        dependency: None,
    };
    report_to(session, out, id, found, to);
}

/// Reports one of an earlier epoch again, as it is kept: those who govern now may never have heard of it (REC-30).
pub(in super::super) fn divergence_again(
    session: &mut Session,
    out: &mut Outbox,
    id: &ConflictId,
    principal: &PrincipalId,
) {
    let to = Recipients::Only(sorted(governing(session).into_iter().chain([principal.clone()])));
    let Some(record) = session.conflicts.get(id) else { return };
    let mut message = ConflictReport::new(id.clone(), record.category.clone(), record.severity.clone());
    (message.related_intents, message.related_ops) = (Some(Vec::new()), Some(Vec::new()));
    message.basis = Some(record.basis.clone());
    message.based_on_watermark = Some(record.based_on.clone());
    message.description = Some(record.description.clone());
    message.principal_a = Some(principal.clone());
    message.involved_principals = Some(record.principals.clone());
    out.send(session, to, message);
}

fn report_to(session: &mut Session, out: &mut Outbox, id: ConflictId, found: Found, to: Recipients) {
    let mut basis = Basis::new();
    basis.kind = Some(found.kind);
    basis.rule_id = Some(found.rule.to_owned());
    let principal = |side: &Option<Side>| side.as_ref().map(|(principal, _)| principal.clone());
    let intent = |side: &Option<Side>| side.as_ref().and_then(|(_, intent)| intent.clone());
    let mut message = ConflictReport::new(id.clone(), found.category, found.severity);
    message.related_intents = Some(found.intents);
    message.related_ops = Some(found.ops);
    message.basis = Some(basis);
    message.based_on_watermark = Some(Watermark::lamport(session.lamport.value()));
    message.description = Some(found.description);
    (message.principal_a, message.intent_a) = (principal(&found.a), intent(&found.a));
    (message.principal_b, message.intent_b) = (principal(&found.b), intent(&found.b));
    message.involved_principals = Some(found.principals.clone());
    message.dependency_detail = found.dependency;
    let message_id = out.send(session, to, message.clone());
    let author = principal(&found.a);
    open(session, message, message_id, (found.principals, author), found.part);
}

/// Registers what a report says and begins to wait for its resolution. The report is complete: its own, or a
/// participant's with everything filled in. `author` is whose message it came from.
pub(super) fn open(
    session: &mut Session,
    report: ConflictReport,
    message_id: MessageId,
    (principals, author): (Vec<PrincipalId>, Option<PrincipalId>),
    part: Option<Part>,
) {
    let id = report.conflict_id.clone();
    let (intent_a, intent_b) = (report.intent_a, report.intent_b);
    session.register_conflict(Conflict {
        id: report.conflict_id,
        category: report.category,
        severity: report.severity,
        basis: report.basis.unwrap_or_else(Basis::new),
        based_on: report.based_on_watermark.unwrap_or_else(|| Watermark::lamport(session.lamport.value())),
        description: report.description.unwrap_or_default(),
        intents: report.related_intents.unwrap_or_default(),
        ops: report.related_ops.unwrap_or_default(),
        principals,
        author,
        a: report.principal_a.map(|principal| (principal, intent_a)),
        b: report.principal_b.map(|principal| (principal, intent_b)),
        part,
        state: State::Open,
        created_at: session.now,
        report: Some(message_id),
        acks: Vec::new(),
        escalated: None,
        resolution: None,
        timeout_at: None,
        freeze: None,
        sequence: 0,
    });
    timeout::arm(session, &id);
}

/// Those who could settle a conflict. Found once for all conflicts of a message: every member is asked.
pub(super) fn governing(session: &Session) -> Vec<PrincipalId> {
    session.members.iter().filter(|(_, member)| member.governs()).map(|(id, _)| id.clone()).collect()
}

/// The principals in it, and those who could settle it (D-108).
pub(super) fn audience(session: &Session, involved: &[PrincipalId], governing: &[PrincipalId]) -> Recipients {
    match session.config.conflict_report_audience {
        ReportAudience::Involved => Recipients::Only(involved.to_vec()),
        ReportAudience::InvolvedAndGovernance => {
            Recipients::Only(sorted(involved.iter().chain(governing).cloned()))
        }
        ReportAudience::All => Recipients::All,
    }
}
