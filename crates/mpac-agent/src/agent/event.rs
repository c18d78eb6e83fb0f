//! What happens in the session, as it happens.
//!
//! An [`Event`] is a plain value and serialises as one line of JSON whose `event` names its kind; that is the schema of
//! `mpac-agent watch --json`.

use mpac_wire::names::{AckType, ConflictCategory, Severity};
use mpac_wire::{BatchId, ClaimId, ConflictId, DeferralId, IntentId, OpId, PrincipalId, StateRef};
use serde::Serialize;
use tokio::sync::broadcast;

use crate::brain::usage::{Cost, Spent};

/// Something that happened. Own doings are told as well: `principal_id` says whose it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are the wire's, and their names say what they are")]
pub enum Event {
    /// Somebody was heard of for the first time; a HELLO itself is passed on to nobody.
    Joined { principal_id: PrincipalId },
    /// GOODBYE, or the coordinator counts it as gone.
    Left { principal_id: PrincipalId, reason: String },
    /// INTENT_ANNOUNCE.
    Announced { intent_id: IntentId, principal_id: PrincipalId, objective: String, files: Vec<String> },
    /// INTENT_UPDATE: what is given is new.
    Updated {
        intent_id: IntentId,
        principal_id: PrincipalId,
        objective: Option<String>,
        files: Option<Vec<String>>,
    },
    /// The coordinator says that an intent is suspended, or usable again.
    Standing { intent_id: IntentId, suspended: bool },
    /// INTENT_WITHDRAW, the coordinator's own included: then `principal_id` is the coordinator.
    Withdrawn { intent_id: IntentId, principal_id: PrincipalId, reason: Option<String> },
    /// An own intent is over, and not by its withdrawal: nothing can be committed under it any more.
    OwnIntentEnded { intent_id: IntentId, how: Ended },
    /// INTENT_DEFERRED: somebody stepped back.
    Deferred {
        deferral_id: Option<DeferralId>,
        principal_id: Option<PrincipalId>,
        files: Vec<String>,
        reason: Option<String>,
        expires_at: Option<String>,
    },
    /// A deferral is over, because what was waited for has ended (`resolved`) or by its time (`expired`).
    DeferralEnded { deferral_id: Option<DeferralId>, status: String, reason: Option<String> },
    /// INTENT_CLAIM: somebody would go on with a suspended intent.
    Claimed { claim_id: ClaimId, intent_id: IntentId, principal_id: PrincipalId },
    /// INTENT_CLAIM_STATUS.
    ClaimDecided {
        claim_id: ClaimId,
        intent_id: IntentId,
        new_intent_id: Option<IntentId>,
        decision: String,
        reason: Option<String>,
    },
    /// OP_PROPOSE.
    Proposed {
        op_id: OpId,
        principal_id: PrincipalId,
        path: String,
        intent_id: Option<IntentId>,
        summary: Option<String>,
    },
    /// An operation may be carried out now (pre-commit sessions).
    Authorised { op_id: OpId, by: Option<PrincipalId> },
    /// A file was committed: OP_COMMIT, or one entry of OP_BATCH_COMMIT.
    Committed {
        op_id: OpId,
        principal_id: PrincipalId,
        path: String,
        intent_id: Option<IntentId>,
        batch_id: Option<BatchId>,
        state_ref_before: StateRef,
        state_ref_after: StateRef,
        summary: Option<String>,
    },
    /// OP_SUPERSEDE: one commit took the place of another.
    Superseded { op_id: OpId, supersedes_op_id: OpId, principal_id: PrincipalId, path: String },
    /// OP_REJECT: of an operation, or of a batch by its id.
    Rejected { op_id: OpId, reason: String },
    /// A file has another text now.
    FileUpdated { path: String, state_ref: StateRef, updated_by: PrincipalId },
    /// CONFLICT_REPORT.
    Conflict {
        conflict_id: ConflictId,
        category: ConflictCategory,
        severity: Severity,
        principals: Vec<PrincipalId>,
        intents: Vec<IntentId>,
        description: Option<String>,
    },
    /// CONFLICT_ACK.
    Acknowledged { conflict_id: ConflictId, principal_id: PrincipalId, ack_type: AckType },
    /// CONFLICT_ESCALATE.
    Escalated { conflict_id: ConflictId, principal_id: PrincipalId, escalate_to: PrincipalId, reason: String },
    /// RESOLUTION: of a conflict, or of a claim or a proposal under their ids.
    Resolved {
        conflict_id: ConflictId,
        principal_id: PrincipalId,
        decision: String,
        rationale: Option<String>,
        rejected: Vec<String>,
    },
    /// A resolution rejects a commit of this process, and wants it undone by a commit under this id, which nobody but its owner
    /// makes (GOV-21).
    Compensation {
        op_id: OpId,
        reverses_op_id: OpId,
        path: String,
        state_ref_before: StateRef,
        state_ref_after: StateRef,
    },
    /// A PROTOCOL_ERROR that answers nothing of ours.
    Warning { code: String, description: String },
    /// Something about signatures: by which key the coordinator signs, what was dropped, a key that was replaced. `alarming`:
    /// somebody should look (SEC-27, SEC-30).
    Trust { description: String, alarming: bool },
    /// The connection broke. What was said and not answered is of unknown fate until [`ConnectionBack`](Self::ConnectionBack).
    ConnectionLost { why: String, retrying_for_sec: u64 },
    /// We are in the session again, and the view is up to date.
    ConnectionBack { after_sec: f64 },
    /// The coordinator gives no sign of life: commits are held back.
    CoordinatorSilent { for_sec: u64 },
    /// It is heard of again.
    CoordinatorBack,
    /// What a call to the model of an own task has used up; told of the tasks of this process alone. `cost_usd` is an estimate by
    /// the prices of `prices_of`, or what the brain says where that is `None`.
    Used {
        calls: u32,
        input_tokens: u64,
        output_tokens: u64,
        cache_read_tokens: u64,
        cache_write_tokens: u64,
        cost_usd: Option<f64>,
        prices_of: Option<String>,
    },
    /// SESSION_CLOSE. Nothing comes after it.
    SessionClosed { reason: String },
    /// The connection ended for good. Nothing comes after it.
    Disconnected { why: String },
    /// So many events were lost, because they were not taken in time. The [view](super::Agent::view) has all that counts.
    Lagged { lost: u64 },
}

impl Event {
    /// What `event` of its JSON may be, in the order of the page about verbs.
    pub const KINDS: [&str; 32] = [
        "joined",
        "left",
        "announced",
        "updated",
        "standing",
        "withdrawn",
        "own_intent_ended",
        "deferred",
        "deferral_ended",
        "claimed",
        "claim_decided",
        "proposed",
        "authorised",
        "committed",
        "superseded",
        "rejected",
        "file_updated",
        "conflict",
        "acknowledged",
        "escalated",
        "resolved",
        "compensation",
        "warning",
        "trust",
        "connection_lost",
        "connection_back",
        "coordinator_silent",
        "coordinator_back",
        "used",
        "session_closed",
        "disconnected",
        "lagged",
    ];

    /// [`Used`](Self::Used), of one call or of several.
    pub(crate) fn of_use(spent: &Spent) -> Self {
        Self::Used {
            calls: spent.calls,
            input_tokens: spent.usage.input,
            output_tokens: spent.usage.output,
            cache_read_tokens: spent.usage.cache_read,
            cache_write_tokens: spent.usage.cache_write,
            cost_usd: spent.cost.map(Cost::in_dollars),
            prices_of: spent.prices_of.clone(),
        }
    }
}

/// How an own intent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ended {
    /// Its time is over (INT-05).
    Expired,
    /// The coordinator ended it, after a resolution for instance, another of ours took its place, or it was claimed.
    Otherwise,
}

/// The events since it was made, in order. [`Event::Lagged`] stands in for what was not taken in time.
#[derive(Debug)]
pub struct Events(pub(super) broadcast::Receiver<Event>);

impl Events {
    /// The next one; `None` after the last. Safe to be dropped while it waits: nothing is lost by that.
    pub async fn next(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Event::Lagged { lost }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The next one for which `wanted` gives something; `None` after the last event.
    ///
    /// `Lagged` is offered to `wanted` as well: who cannot do without what was lost has to look at the view then.
    pub async fn find<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = wanted(self.next().await?) {
                return Some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// `OwnIntentEnded` is `own_intent_ended`.
    fn snake(name: &str) -> String {
        let mut snake = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !snake.is_empty() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    }

    #[test]
    fn the_page_about_verbs_lists_every_event_with_its_members() {
        let (page, source) = (include_str!("../../VERBS.md"), include_str!("event.rs"));
        let variants = source.split_once("pub enum Event {").unwrap().1.split_once("\n}\n").unwrap().0;
        let code: String =
            variants.lines().filter(|line| !line.trim().starts_with("///")).collect::<Vec<_>>().join(" ");
        let mut rest = code.trim();
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let end = rest.find(['{', ',']).unwrap_or(rest.len());
            let name = rest[..end].trim();
            let (members, left) = match rest[end..].strip_prefix('{') {
                Some(inside) => inside.split_once('}').unwrap(),
                None => ("", &rest[end..]),
            };
            let names =
                members.split(',').filter_map(|member| member.split_once(':')).map(|(name, _)| name.trim());
            let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
            let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
            let row = format!("| `{}` | {names} |", snake(name));
            assert!(page.contains(&row), "{row}");
            seen.push(snake(name));
            rest = left.trim_start_matches([',', ' ']);
        }
        assert_eq!(seen, super::Event::KINDS);
    }
}
