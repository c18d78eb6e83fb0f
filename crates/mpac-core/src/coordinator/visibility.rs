//! Who sees what of others' work: applied to everything that leaves the coordinator, after it is settled what happens
//! (PRV-02, PRV-03). Off unless the configuration limits somebody; then nothing here is run.
//!
//! Whoever says something sees it as it was said. What others said is shown with parts left out, or not at all where a
//! signature would not fit what is left (D-128): who sees less has to trust what the coordinator says of it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use mpac_wire::names::MessageType;
use mpac_wire::redact::{compact, without_contents, without_free_text};
use mpac_wire::sideband::Request;
use mpac_wire::{Envelope, Limits, Payload, PrincipalId, Received};

use super::outbox::file_error;
use super::records::Member;
use super::state::Session;
use crate::config::Sight;
use crate::input::ConnId;
use crate::output::{Notice, Output, Recipients};

/// What is left of a step's outputs when everybody gets what they may see.
pub(super) fn applied(session: &Session, outputs: Vec<Output>) -> Vec<Output> {
    if !session.config.visibility.is_limited() {
        return outputs;
    }
    let mut shown = Vec::with_capacity(outputs.len());
    for output in outputs {
        match output {
            Output::Relay { to, text, message_type, sender } => {
                for (sight, to) in audiences(session, &to, Some(&sender)) {
                    if let Some(text) = relay(&text, &message_type, sight) {
                        let (message_type, sender) = (message_type.clone(), sender.clone());
                        shown.push(Output::Relay { to, text, message_type, sender });
                    }
                }
            }
            // What the coordinator says to one alone is about that one's own affairs, but for a decision of somebody else
            // that it repeats to whoever was away.
            Output::Send { to, envelope }
                if !is_for_one(&to) || envelope.message_type == MessageType::Resolution =>
            {
                for (sight, to) in audiences(session, &to, None) {
                    shown.push(Output::Send { to, envelope: said(&envelope, sight).into() });
                }
            }
            Output::Workspace { conn, request } => shown.push(asked(session, conn, request)),
            Output::Answer { conn, text } => {
                let text = match shows_words(session, conn) {
                    true => text,
                    false => without_free_text(&text).map_or(text, Into::into),
                };
                shown.push(Output::Answer { conn, text });
            }
            // It names the file and its state, as FILE_LIST does.
            Output::Notice(Notice::FileUpdated { to, path, content, state_ref, updated_by }) => {
                let audiences = audiences(session, &to, Some(&updated_by));
                let to = joined(audiences.into_iter().filter(|(sight, _)| *sight > Sight::Coordination));
                shown.push(Output::Notice(Notice::FileUpdated { to, path, content, state_ref, updated_by }));
            }
            output => shown.push(output),
        }
    }
    shown
}

const fn is_for_one(to: &Recipients) -> bool {
    match to {
        Recipients::All => false,
        Recipients::Conn(_) => true,
        Recipients::Only(principals) => principals.len() == 1,
    }
}

/// What whoever speaks on a connection sees. A stranger is let see no more than anybody (D-126 shows them nothing at all).
fn of(session: &Session, conn: ConnId) -> Sight {
    let least = || session.config.visibility.by_role.values().min().copied().unwrap_or_default();
    session.bound(conn).map_or_else(least, |member| session.config.visibility.of(&member.roles))
}

/// Whether people's words are shown on a connection.
pub(super) fn shows_words(session: &Session, conn: ConnId) -> bool {
    of(session, conn) > Sight::NoWords
}

/// These recipients by what they see; whoever said it sees all of it.
fn audiences(
    session: &Session,
    to: &Recipients,
    said_by: Option<&PrincipalId>,
) -> BTreeMap<Sight, Recipients> {
    let mut found: BTreeMap<Sight, Vec<PrincipalId>> = BTreeMap::new();
    let mut add = |id: &PrincipalId| {
        let own = said_by == Some(id);
        let sight = session.members.get(id).filter(|_| !own);
        let sight = sight.map_or(Sight::Everything, |member| session.config.visibility.of(&member.roles));
        found.entry(sight).or_default().push(id.clone());
    };
    match to {
        Recipients::Conn(_) => return [(Sight::Everything, to.clone())].into(),
        Recipients::Only(principals) => principals.iter().for_each(&mut add),
        // Sorted, as recipients have to be. Whoever says GOODBYE hears it before its connection is let go of (BYE-09).
        Recipients::All => {
            let hears = |id: &PrincipalId, member: &Member| member.conn.is_some() || said_by == Some(id);
            let here = session.members.iter().filter(|(id, member)| hears(id, member));
            here.for_each(|(id, _)| add(id));
        }
    }
    match (to, found.len()) {
        // One for all, as long as all see the same.
        (_, 1) => found.into_keys().map(|sight| (sight, to.clone())).collect(),
        _ => found.into_iter().map(|(sight, principals)| (sight, Recipients::Only(principals))).collect(),
    }
}

/// A participant's message as somebody else sees it; `None` where nothing of it is shown.
fn relay(text: &Arc<str>, message_type: &MessageType, sight: Sight) -> Option<Arc<str>> {
    let left = match sight {
        Sight::Everything => return Some(text.clone()),
        Sight::Coordination if is_about_operations(message_type) => return None,
        Sight::NoContents => without_contents(text).ok()?,
        Sight::NoWords | Sight::Coordination => without_free_text(text).ok()?,
    };
    let received = Received::parse_envelope(text.clone(), &unlimited()).ok()?;
    // Compared in the same layout: what has nothing to leave out goes on as it came.
    if left == compact(text).ok()? {
        return Some(text.clone());
    }
    if received.envelope().signature.is_some() {
        return None; // it would not fit
    }
    Some(left.into())
}

/// It came through the gate already.
fn unlimited() -> Limits {
    let mut limits = Limits::default();
    (limits.max_bytes, limits.max_entries) = (usize::MAX, usize::MAX);
    limits
}

const fn is_about_operations(message_type: &MessageType) -> bool {
    use MessageType as T;
    matches!(message_type, T::OpPropose | T::OpCommit | T::OpBatchCommit | T::OpReject | T::OpSupersede)
}

/// What the coordinator says to several, as one of them sees it. It is signed after this, so it may differ.
fn said(envelope: &Envelope, sight: Sight) -> Envelope {
    let mut envelope = envelope.clone();
    if matches!(sight, Sight::NoWords | Sight::Coordination)
        && let Some(payload) = without_free_text(envelope.payload.get()).ok()
        && let Ok(payload) = serde_json::from_str::<Payload>(&payload)
    {
        envelope.payload = payload;
    }
    envelope
}

/// Several audiences as one.
fn joined(audiences: impl Iterator<Item = (Sight, Recipients)>) -> Recipients {
    let mut principals = Vec::new();
    for (_, to) in audiences {
        match to {
            Recipients::Only(some) => principals.extend(some),
            // All see alike, so they are the only audience.
            everybody => return everybody,
        }
    }
    principals.sort();
    Recipients::Only(principals)
}

/// A look at the shared files, or the refusal of one.
fn asked(session: &Session, conn: ConnId, request: Request) -> Output {
    let needed = match request {
        Request::FileRead { .. } => Sight::Everything,
        _ => Sight::NoWords,
    };
    if of(session, conn) >= needed {
        return Output::Workspace { conn, request };
    }
    let path = match request {
        Request::FileRead { path } => path.unwrap_or_default(),
        _ => String::new(),
    };
    file_error(conn, path, "not authorized")
}
