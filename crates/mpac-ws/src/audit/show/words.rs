//! What somebody did, in plain words that follow the name of whoever did it.

use mpac_wire::payload::{OpBatchCommit, OpCommit};
use mpac_wire::signature;
use mpac_wire::{Envelope, IntentId, Message, StateRef};

use super::item::Item;
use super::relations::Relations;
use crate::audit::accepted::accepted;
use crate::audit::text::{covered, harmless};
use crate::store::entry::Entry;
use crate::store::input::Stored;

/// How it begins where nobody can read what came.
pub(super) const UNREADABLE: &str = "sends what cannot be read";

/// Characters of a state reference that are shown.
const REF: usize = 12;

/// What an entry is.
pub(super) fn entry(item: &Item, relations: &Relations) -> String {
    let happened = match &item.entry {
        Entry::Open(start) => return format!("the session is opened by {}", harmless(start.program())),
        Entry::TakeUp(start) => {
            return format!(
                "the session is taken up again by {}, under the next epoch",
                harmless(start.program())
            );
        }
        Entry::Fork(forked) => {
            let origin = forked.origin();
            let (session, after) = (harmless(origin.session.as_str()), &origin.after);
            return format!(
                "the session begins where {session} stood after entry {} ({})",
                after.n, after.sum
            );
        }
        Entry::Repaired(it) => {
            return format!(
                "the log is repaired ({}) after entry {}, {} entries are lost: {}",
                it.way,
                it.after,
                it.lost,
                harmless(&it.damage)
            );
        }
        Entry::Seal(seal) => {
            let by = seal.key().map_or_else(|| "nobody".to_owned(), |key| signature::short(&key));
            return format!("the log up to entry {} is sealed by {by}", seal.seq);
        }
        Entry::Input(happened) => happened,
    };
    match happened.input() {
        Stored::Frame { text, .. } => match &item.envelope {
            Some(envelope) => message(envelope, was_accepted(item), relations),
            None => sideband(text),
        },
        Stored::Unreadable { problem, .. } => format!("{UNREADABLE}: {}", harmless(problem)),
        Stored::Disconnect { .. } => "is disconnected".to_owned(),
        Stored::Timeout {} => "what is due happens".to_owned(),
        Stored::Vacancy { room: true } => "the server has room for the session".to_owned(),
        Stored::Vacancy { room: false } => "the server has no room for the session".to_owned(),
        Stored::Close { reason, .. } => format!("the session is closed: {}", harmless(reason.as_str())),
        Stored::Status { event } => format!("the coordinator is to say: {}", harmless(event.as_str())),
        Stored::Rebind { principal, .. } => format!("{} goes on without HELLO", harmless(principal.as_str())),
        Stored::HandOver { successor, next_epoch } => {
            format!("the session is handed over to {}, epoch {next_epoch}", harmless(successor.as_str()))
        }
        Stored::Persisted { lamport } => format!("a snapshot is on the disk, Lamport {lamport}"),
        Stored::RotateKey { public_key } => {
            format!("the coordinator signs with another key from here on: {}", public_key.fingerprint())
        }
        Stored::TurnAway { .. } => "says more than the server lets in, and is told so".to_owned(),
        Stored::Fence { epoch } => format!("another coordinator has the session, under epoch {epoch}"),
    }
}

/// Whether a message was passed on, or did what it says, as far as that is known.
fn was_accepted(item: &Item) -> bool {
    item.outputs.as_ref().is_none_or(|outputs| accepted(item.message_type(), item.handed_over, outputs))
}

/// What somebody says with a message; `done` is whether it was accepted.
pub(super) fn message(envelope: &Envelope, done: bool, relations: &Relations) -> String {
    let message_type = harmless(envelope.message_type.as_str());
    let Ok(message) = envelope.message() else {
        return format!("sends a {message_type} that cannot be read");
    };
    let verb = |does: &str, asks: &str| if done { does.to_owned() } else { format!("asks to {asks}") };
    let said = intent(&message, &verb)
        .or_else(|| operation(&message, &verb, relations))
        .or_else(|| answer(&message));
    said.unwrap_or_else(|| match &message {
        Message::Hello(it) => format!("{} as {}", verb("joins", "join"), harmless(&it.display_name)),
        Message::Goodbye(it) => format!("leaves: {}", harmless(it.reason.as_str())),
        Message::Heartbeat(it) => format!("is {}", harmless(it.status.as_str())),
        _ => format!("sends {message_type}"),
    })
}

/// What somebody is about to do, or is not any more.
fn intent(message: &Message, verb: &dyn Fn(&str, &str) -> String) -> Option<String> {
    Some(match message {
        Message::IntentAnnounce(it) => {
            let id = harmless(it.intent_id.as_str());
            let verb = verb("announces", "announce");
            format!("{verb} {id} on {}: {}", covered(&it.scope), harmless(&it.objective))
        }
        Message::IntentUpdate(it) => {
            let id = harmless(it.intent_id.as_str());
            let scope = it.scope.as_ref().map(|scope| format!(" to {}", covered(scope))).unwrap_or_default();
            format!("{} {id}{scope}{}", verb("changes", "change"), because(it.objective.as_deref()))
        }
        Message::IntentWithdraw(it) => {
            let id = harmless(it.intent_id.as_str());
            format!("{} {id}{}", verb("withdraws", "withdraw"), because(it.reason.as_deref()))
        }
        Message::IntentDeferred(it) => {
            let scope = it.scope.as_ref().map(|scope| format!(" on {}", covered(scope))).unwrap_or_default();
            format!("{}{scope}{}", verb("steps back", "step back"), because(it.reason.as_deref()))
        }
        Message::IntentClaim(it) => {
            let (of, whose) = (it.original_intent_id.as_str(), it.original_principal_id.as_str());
            let (verb, new) = (verb("claims", "claim"), harmless(it.new_intent_id.as_str()));
            format!("{verb} {} of {} as {new}: {}", harmless(of), harmless(whose), harmless(&it.objective))
        }
        _ => return None,
    })
}

/// What somebody changes, and on what basis.
fn operation(
    message: &Message,
    verb: &dyn Fn(&str, &str) -> String,
    relations: &Relations,
) -> Option<String> {
    Some(match message {
        Message::OpPropose(it) => {
            let (op, target) = (harmless(it.op_id.as_str()), harmless(&it.target));
            let verb = verb("proposes to change", "propose a change of");
            format!("{verb} {target} ({op}){}", under(it.intent_id.as_ref(), relations))
        }
        Message::OpCommit(it) => commit(it, &verb("commits", "commit"), relations),
        Message::OpBatchCommit(it) => batch(it, &verb("commits", "commit"), relations),
        Message::OpSupersede(it) => {
            let (op, old) = (harmless(it.op_id.as_str()), harmless(it.supersedes_op_id.as_str()));
            let (verb, target) = (verb("commits", "commit"), harmless(&it.target));
            let why = because(it.reason.as_deref());
            format!(
                "{verb} {target} ({op}, in place of {old}){}{why}",
                under(it.intent_id.as_ref(), relations)
            )
        }
        _ => return None,
    })
}

/// What is said about conflicts, operations and claims, by people as by the coordinator.
fn answer(message: &Message) -> Option<String> {
    Some(match message {
        Message::SessionInfo(it) => {
            let roles: Vec<&str> = it.granted_roles.iter().map(|role| role.as_str()).collect();
            format!("admits it as {}", harmless(&roles.join(", ")))
        }
        Message::IntentClaimStatus(it) => {
            let (id, decision) = (harmless(it.original_intent_id.as_str()), harmless(it.decision.as_str()));
            format!("answers the claim on {id}: {decision}{}", because(it.reason.as_deref()))
        }
        Message::OpReject(it) => {
            format!("rejects {}: {}", harmless(it.op_id.as_str()), harmless(it.reason.as_str()))
        }
        Message::ConflictReport(it) => {
            let (id, category) = (harmless(it.conflict_id.as_str()), harmless(it.category.as_str()));
            let side = |who: Option<&str>, intent: Option<&str>| {
                let intent = intent.map(|intent| format!(" ({})", harmless(intent))).unwrap_or_default();
                who.map_or_else(|| "somebody".to_owned(), harmless) + &intent
            };
            let a = side(
                it.principal_a.as_ref().map(|it| it.as_str()),
                it.intent_a.as_ref().map(|it| it.as_str()),
            );
            let b = side(
                it.principal_b.as_ref().map(|it| it.as_str()),
                it.intent_b.as_ref().map(|it| it.as_str()),
            );
            format!(
                "reports conflict {id}: {category} ({}) between {a} and {b}",
                harmless(it.severity.as_str())
            )
        }
        Message::ConflictAck(it) => {
            format!(
                "says of conflict {}: {}",
                harmless(it.conflict_id.as_str()),
                harmless(it.ack_type.as_str())
            )
        }
        Message::ConflictEscalate(it) => {
            let (id, to) = (harmless(it.conflict_id.as_str()), harmless(it.escalate_to.as_str()));
            format!("hands conflict {id} to {to}{}", because(Some(&it.reason)))
        }
        Message::Resolution(it) => {
            let (id, decision) = (harmless(it.conflict_id.as_str()), harmless(it.decision.as_str()));
            format!("resolves conflict {id}: {decision}{}", because(it.rationale.as_deref()))
        }
        Message::CoordinatorStatus(it) => {
            let op = it.authorized_op_id.as_ref().map(|op| format!(" {}", harmless(op.as_str())));
            format!("says: {}{}", harmless(it.event.as_str()), op.unwrap_or_default())
        }
        Message::SessionClose(it) => format!("closes the session: {}", harmless(it.reason.as_str())),
        Message::ProtocolError(it) => {
            format!("refuses: {}: {}", harmless(it.error_code.as_str()), harmless(&it.description))
        }
        _ => return None,
    })
}

/// What the coordinator says.
pub(super) fn told(envelope: &Envelope) -> String {
    match envelope.message() {
        // Of somebody else's, who was away when it ended.
        Ok(Message::IntentWithdraw(it)) => {
            format!(
                "tells that {} has ended{}",
                harmless(it.intent_id.as_str()),
                because(it.reason.as_deref())
            )
        }
        _ => message(envelope, true, &Relations::default()),
    }
}

fn commit(it: &OpCommit, verb: &str, relations: &Relations) -> String {
    let intent = under(it.intent_id.as_ref(), relations);
    let (op, target) = (harmless(it.op_id.as_str()), harmless(&it.target));
    let (before, after) = (short(&it.state_ref_before), short(&it.state_ref_after));
    let objective = it.intent_id.as_ref().and_then(|id| relations.objective(id.as_str()));
    // Agents like to say the same twice.
    let summary = it.summary.as_deref().filter(|summary| Some(*summary) != objective);
    let summary = summary.map(|summary| format!("; {}", harmless(summary)));
    format!("{verb} {target} ({op}, {before} -> {after}){intent}{}", summary.unwrap_or_default())
}

fn batch(it: &OpBatchCommit, verb: &str, relations: &Relations) -> String {
    let each = it.operations.iter().map(|entry| {
        let (before, after) = (short(&entry.state_ref_before), short(&entry.state_ref_after));
        format!("{} ({}, {before} -> {after})", harmless(&entry.target), harmless(entry.op_id.as_str()))
    });
    let each: Vec<String> = each.collect();
    let intent = under(it.intent_id.as_ref(), relations);
    format!("{verb} together {}{intent}", each.join(", "))
}

/// What is not MPAC.
fn sideband(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Request {
        #[serde(rename = "type")]
        kind: String,
        path: Option<String>,
    }
    match serde_json::from_str::<Request>(text) {
        Ok(Request { kind, path }) => {
            let path = path.map(|path| format!(" {}", harmless(&path))).unwrap_or_default();
            format!("asks for {}{path}", harmless(&kind))
        }
        Err(_) => format!("{UNREADABLE} as a message"),
    }
}

/// The basis of an operation.
fn under(intent: Option<&IntentId>, relations: &Relations) -> String {
    let Some(intent) = intent.map(IntentId::as_str) else { return ", without an intent".to_owned() };
    let objective = relations.objective(intent).map(|it| format!(": {}", harmless(it))).unwrap_or_default();
    format!(", under {}{objective}", harmless(intent))
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {}", harmless(reason))).unwrap_or_default()
}

fn short(state_ref: &StateRef) -> String {
    let digits = state_ref.as_str().strip_prefix("sha256:").unwrap_or(state_ref.as_str());
    harmless(&digits.chars().take(REF).collect::<String>())
}
