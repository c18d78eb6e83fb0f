//! What the explored people may do: every action with its name and its message.

use mpac_wire::names::{AckType, Decision};
use mpac_wire::payload::{
    ConflictAck, ConflictEscalate, Goodbye, Heartbeat, IntentAnnounce, IntentClaim, IntentDeferred,
    IntentUpdate, IntentWithdraw, OpCommit, OpPropose, OpReject, OpSupersede, Outcome, Resolution,
};
use mpac_wire::{Message, Scope, StateRef};

use super::node::{Action, What};
use crate::world::{intent, op};

fn say(name: String, who: &'static str, message: impl Into<Message>) -> Action {
    let message: Message = message.into();
    let kind = message.message_type().as_str().to_owned();
    let payload = message.to_payload().get().to_owned();
    // Message types are few and live as long as the test.
    Action { name: format!("{who} {name}"), who, what: What::Say { kind: kind.leak(), payload } }
}

pub(super) fn pass() -> Action {
    Action { name: "time passes until the next deadline".to_owned(), who: "", what: What::Pass }
}

pub(super) fn join(who: &'static str, role: &'static str) -> Action {
    Action { name: format!("{who} says HELLO"), who, what: What::Join { role } }
}

pub(super) fn lose(who: &'static str) -> Action {
    Action { name: format!("{who} loses the connection"), who, what: What::Lose }
}

pub(super) fn heartbeat(who: &'static str) -> Action {
    say("sends HEARTBEAT".to_owned(), who, Heartbeat::new("working".into()))
}

pub(super) fn goodbye(who: &'static str, disposition: &str) -> Action {
    let mut goodbye = Goodbye::new("user_exit".into());
    goodbye.intent_disposition = Some(disposition.into());
    say(format!("says GOODBYE ({disposition})"), who, goodbye)
}

pub(super) fn announce(who: &'static str, id: &str, files: &[&str]) -> Action {
    let payload = IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files(files.iter().copied()));
    say(format!("announces {id} on {}", files.join("+")), who, payload)
}

/// More urgent than others.
pub(super) fn announce_urgently(who: &'static str, id: &str, files: &[&str]) -> Action {
    let mut payload = IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files(files.iter().copied()));
    payload.priority = Some("high".into());
    say(format!("announces {id} on {} with high priority", files.join("+")), who, payload)
}

pub(super) fn replace(who: &'static str, old: &str, id: &str, files: &[&str]) -> Action {
    let mut payload = IntentAnnounce::new(intent(id), "o".to_owned(), Scope::files(files.iter().copied()));
    payload.supersedes_intent_id = Some(intent(old));
    say(format!("announces {id} on {} in place of {old}", files.join("+")), who, payload)
}

pub(super) fn grow(who: &'static str, id: &str, files: &[&str]) -> Action {
    let mut update = IntentUpdate::new(intent(id));
    update.scope = Some(Scope::files(files.iter().copied()));
    say(format!("updates {id} to {}", files.join("+")), who, update)
}

pub(super) fn prolong(who: &'static str, id: &str) -> Action {
    let mut update = IntentUpdate::new(intent(id));
    update.ttl_sec = Some(mpac_wire::Seconds::whole(70));
    say(format!("prolongs {id}"), who, update)
}

pub(super) fn withdraw(who: &'static str, id: &str) -> Action {
    say(format!("withdraws {id}"), who, IntentWithdraw::new(intent(id)))
}

pub(super) fn defer(who: &'static str, id: &str, observed: &str) -> Action {
    let mut deferred = IntentDeferred::new();
    deferred.deferral_id = Some(id.parse().unwrap());
    deferred.scope = Some(Scope::files(["x"]));
    deferred.observed_intent_ids = Some(vec![observed.to_owned()]);
    say(format!("defers to {observed} ({id})"), who, deferred)
}

pub(super) fn claim(who: &'static str, id: &str, original: &str, owner: &str, files: &[&str]) -> Action {
    claim_for(who, (id, &format!("n{id}")), original, owner, files)
}

/// A claim whose new intent has an id of its own.
pub(super) fn claim_for(
    who: &'static str,
    (id, new): (&str, &str),
    original: &str,
    owner: &str,
    files: &[&str],
) -> Action {
    let scope = Scope::files(files.iter().copied());
    let (claim, owner) = (id.parse().unwrap(), owner.parse().unwrap());
    let payload = IntentClaim::new(claim, intent(original), owner, intent(new), "o".to_owned(), scope);
    say(format!("claims {original} on {} ({id})", files.join("+")), who, payload)
}

pub(super) fn decide_claim(who: &'static str, id: &str, decision: Decision) -> Action {
    say(format!("decides claim {id}: {decision}"), who, Resolution::new(id.parse().unwrap(), decision))
}

pub(super) fn propose(who: &'static str, id: &str, under: Option<&str>) -> Action {
    let mut propose = OpPropose::new(op(id), "x".to_owned(), "replace".into());
    propose.intent_id = under.map(intent);
    say(format!("proposes {id} under {}", under.unwrap_or("no intent")), who, propose)
}

pub(super) fn commit(who: &'static str, id: &str, under: Option<&str>) -> Action {
    let (before, after) = (StateRef::new("^x"), StateRef::of(id));
    let mut commit = OpCommit::new(op(id), "x".to_owned(), "replace".into(), before, after);
    commit.intent_id = under.map(intent);
    say(format!("commits {id} under {}", under.unwrap_or("no intent")), who, commit)
}

pub(super) fn supersede(who: &'static str, id: &str, old: &str, under: &str) -> Action {
    let mut supersede = OpSupersede::new(op(id), op(old), "x".to_owned());
    supersede.state_ref_after = Some(StateRef::of(id));
    supersede.intent_id = Some(intent(under));
    say(format!("supersedes {old} by {id} under {under}"), who, supersede)
}

pub(super) fn reject(who: &'static str, id: &str) -> Action {
    say(format!("rejects {id}"), who, OpReject::new(op(id), "policy_violation".into()))
}

pub(super) fn review(who: &'static str, id: &str, decision: Decision) -> Action {
    say(format!("reviews {id}: {decision}"), who, Resolution::new(id.parse().unwrap(), decision))
}

pub(super) fn ack(who: &'static str) -> Action {
    say("acks the conflict".to_owned(), who, ConflictAck::new("@0".parse().unwrap(), AckType::Seen))
}

pub(super) fn escalate(who: &'static str, to: &str) -> Action {
    let payload = ConflictEscalate::new("@0".parse().unwrap(), to.parse().unwrap(), "r".to_owned());
    say(format!("escalates the conflict to {to}"), who, payload)
}

/// Decides the first or the second open conflict; `rejected` are intents or operations.
pub(super) fn resolve(who: &'static str, place: u8, decision: Decision, rejected: &[&str]) -> Action {
    let name = format!("resolves conflict {place}: {decision}, rejecting [{}]", rejected.join(" "));
    let mut resolution = Resolution::new(format!("@{place}").parse().unwrap(), decision);
    let mut outcome = Outcome::new();
    outcome.rejected = Some(rejected.iter().map(|id| (*id).to_owned()).collect());
    outcome.rollback = Some("not_required".to_owned());
    resolution.outcome = (!rejected.is_empty()).then_some(outcome);
    say(name, who, resolution)
}
