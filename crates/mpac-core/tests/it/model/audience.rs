//! Who hears what (`spec/wire.md` §8): outputs go to members, an accepted message has its relay, a refused one its error.

use mpac_core::table::operation::State;
use mpac_core::{Output, Recipients};

use super::invariants::asks_first;
use super::moment::{Moment, Verdict};

pub(super) fn members(moment: &Moment<'_>) -> Verdict {
    for output in moment.outputs {
        let (Output::Relay { to, .. } | Output::Send { to, .. }) = output else { continue };
        match to {
            Recipients::All => {}
            Recipients::Conn(conn) => {
                let known =
                    moment.connections().contains(conn) || moment.sent.is_some_and(|sent| sent.conn == *conn);
                if !known {
                    return Err(format!("{conn:?} is nobody's"));
                }
            }
            Recipients::Only(list) => {
                let increasing = list.windows(2).all(|pair| pair[0] < pair[1]);
                // Who leaves with nothing left behind may be forgotten with that very message.
                let known = |who: &str| {
                    [moment.before, moment.after].iter().any(|picture| picture.members.contains_key(who))
                };
                let stranger = list.iter().find(|who| !known(who.as_str()));
                if list.is_empty() || !increasing || stranger.is_some() {
                    return Err(format!("recipients {list:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Whom a relay must reach.
#[derive(Debug, PartialEq)]
enum Wanted {
    Nobody,
    All,
    Only(Vec<String>),
}

pub(super) fn answered(moment: &Moment<'_>) -> Verdict {
    let Some(sent) = moment.sent else {
        let relays = moment.relays().len();
        return if relays == 0 { Ok(()) } else { Err(format!("{relays} relays of nothing")) };
    };
    let refusals = moment.refusals();
    let relays = moment.relays();
    if !refusals.is_empty() {
        let own = matches!(refusals.as_slice(), [(Recipients::Conn(conn), _)] if *conn == sent.conn);
        return if own && relays.is_empty() {
            Ok(())
        } else {
            Err(format!("refused by {} errors, with {} relays", refusals.len(), relays.len()))
        };
    }
    let wanted = wanted(moment);
    let found = match relays.as_slice() {
        [] => Wanted::Nobody,
        [(to, kind, sender)] if kind.as_str() == sent.kind && *sender == moment.who() => match to {
            Recipients::All => Wanted::All,
            Recipients::Only(list) => Wanted::Only(list.iter().map(ToString::to_string).collect()),
            Recipients::Conn(_) => return Err("a relay to one connection".to_owned()),
        },
        other => return Err(format!("relayed {other:?}")),
    };
    if found == wanted { Ok(()) } else { Err(format!("relayed to {found:?} and not to {wanted:?}")) }
}

fn wanted(moment: &Moment<'_>) -> Wanted {
    let others = |pick: &dyn Fn(&super::picture::Member) -> bool| {
        let members = moment.after.members.iter().filter(|(id, it)| *id != moment.who() && pick(it));
        members.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    let only = |mut list: Vec<String>| {
        list.sort();
        list.dedup();
        if list.is_empty() { Wanted::Nobody } else { Wanted::Only(list) }
    };
    let committed = || {
        let done = |id: &String| moment.before.ops.get(id).is_some_and(|it| it.state == State::Committed);
        moment.after.ops.iter().any(|(id, it)| it.state == State::Committed && !done(id))
    };
    let proposed = || {
        let fresh = |id: &String| !moment.before.ops.contains_key(id);
        moment.after.ops.iter().any(|(id, it)| it.state == State::Proposed && fresh(id))
    };
    match moment.kind() {
        "INTENT_ANNOUNCE" | "INTENT_UPDATE" | "INTENT_WITHDRAW" | "CONFLICT_ACK" | "CONFLICT_ESCALATE"
        | "RESOLUTION" | "GOODBYE" => Wanted::All,
        "OP_COMMIT" | "OP_SUPERSEDE" if committed() => Wanted::All,
        "OP_PROPOSE" | "OP_COMMIT" | "OP_SUPERSEDE"
            // A commit is a request where one asks first; what is superseded in its grace stays a proposal (D-100).
            if proposed() && (asks_first(moment) || moment.kind() != "OP_COMMIT") =>
        {
            only(others(&|member| member.reviews()))
        }
        "OP_REJECT" => {
            // The operation is in the message; whoever of the proposers may be told is one of these.
            let relays = moment.relays();
            match relays.as_slice() {
                [(Recipients::Only(list), ..)] => only(list.iter().map(ToString::to_string).collect()),
                _ => Wanted::All,
            }
        }
        "INTENT_CLAIM" => {
            let mut to = others(&|member| member.governs());
            let fresh = moment.after.claims.iter().find(|(id, _)| !moment.before.claims.contains_key(*id));
            // One that does not fit is refused by a status in the same step, and has been shown as well.
            let owner = fresh.map(|(_, claim)| claim.owner.clone());
            to.extend(owner.or_else(|| Some("alice".to_owned())).filter(|who| who != moment.who()));
            only(to)
        }
        _ => Wanted::Nobody,
    }
}
