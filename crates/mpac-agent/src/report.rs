//! What others do, in sentences.

use mpac_wire::{Envelope, Message, OpId, StateRef};

use crate::console::Style;
use crate::view::View;

/// A line about a message from somebody else, when it tells people something.
///
/// Heartbeats, routine status and the agent's own messages tell nothing: what the agent does itself is
/// reported where it does it.
#[must_use]
pub fn line(view: &View, envelope: &Envelope, message: &Message) -> Option<(Style, String)> {
    let who = &envelope.sender.principal_id;
    let own = who == view.me();
    let (style, text) = match message {
        _ if own => return None,
        Message::IntentAnnounce(announce) => {
            let files = announce.scope.resources.as_deref().unwrap_or_default().join(", ");
            (Style::Dim, format!("{who} announced: {} [{files}]", announce.objective))
        }
        Message::IntentUpdate(update) => (
            Style::Dim,
            format!("{who} changed intent {}{}", update.intent_id, tail(update.objective.as_deref())),
        ),
        Message::IntentWithdraw(withdraw) => (
            Style::Dim,
            format!("{who} ended intent {}{}", withdraw.intent_id, tail(withdraw.reason.as_deref())),
        ),
        // The coordinator tells it of others; an end of it is told by what ended it.
        Message::IntentDeferred(deferred) => {
            let waiting = deferred.principal_id.as_ref().filter(|it| *it != view.me());
            let waiting = waiting.filter(|_| deferred.status.is_none())?;
            (Style::Dim, format!("{waiting} stepped back{}", tail(deferred.reason.as_deref())))
        }
        Message::OpCommit(commit) => {
            (Style::Dim, format!("{who} committed {}{}", commit.target, tail(commit.summary.as_deref())))
        }
        Message::OpBatchCommit(batch) => {
            let targets: Vec<_> = batch.operations.iter().map(|entry| entry.target.as_str()).collect();
            (Style::Dim, format!("{who} committed {}", targets.join(", ")))
        }
        Message::OpSupersede(supersede) => {
            (Style::Dim, format!("{who} replaced a commit to {}", supersede.target))
        }
        Message::ConflictAck(ack) => {
            (Style::Dim, format!("{who} acknowledged the conflict ({})", ack.ack_type))
        }
        Message::ConflictEscalate(escalate) => (
            Style::Yellow,
            format!("{who} escalated the conflict to {}: {}", escalate.escalate_to, escalate.reason),
        ),
        Message::Resolution(resolution) => {
            let why = tail(resolution.rationale.as_deref());
            (Style::Yellow, format!("conflict settled: {}{why}", resolution.decision))
        }
        Message::Goodbye(goodbye) => (Style::Dim, format!("{who} left ({})", goodbye.reason)),
        Message::ProtocolError(error) => {
            (Style::Red, format!("coordinator: {}: {}", error.error_code, error.description))
        }
        Message::OpReject(reject) => {
            (Style::Red, format!("{} was rejected: {}", reject.op_id, reject.reason))
        }
        Message::IntentClaimStatus(status) => {
            (Style::Dim, format!("claim on {}: {}", status.original_intent_id, status.decision))
        }
        Message::CoordinatorStatus(status) if status.event.as_str() != "heartbeat" => {
            (Style::Dim, format!("coordinator: {} ({})", status.event, status.session_health))
        }
        _ => return None,
    };
    Some((style, one_line(&format!(">> {text}"))))
}

/// A resolution wants a commit of ours undone.
#[must_use]
pub(crate) fn to_undo(reverses: &OpId, path: &str, (state, op): (&StateRef, &OpId)) -> String {
    format!("{reverses} is to be undone: make {path} again what it was at {state} (as {op})")
}

/// What others wrote stays on its line, so that it cannot pass for a line of ours.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The same, for a line that is set in.
#[must_use]
pub(crate) fn indented(text: &str) -> String {
    let blanks = text.len() - text.trim_start_matches(' ').len();
    format!("{}{}", &text[..blanks], one_line(text))
}

fn tail(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(String::new, |text| format!(": {text}"))
}

/// `1 file`, `2 files`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The files by name, or how many when they are many.
#[must_use]
pub fn files(paths: &[String]) -> String {
    if paths.len() <= 4 { paths.join(", ") } else { count(paths.len(), "file") }
}

/// `812 bytes`, `1.5 kB`.
#[must_use]
pub fn bytes(number: usize) -> String {
    if number < 1_000 {
        return format!("{number} bytes");
    }
    format!("{}.{} kB", number / 1_000, number % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::fixture::{from, view};
    use mpac_wire::payload::intent::{IntentAnnounce, IntentWithdraw};
    use mpac_wire::{IntentId, Scope};

    fn announce() -> Message {
        let id = IntentId::new("i1").unwrap();
        IntentAnnounce::new(id, "mend the login".to_owned(), Scope::files(["a.py", "b.py"])).into()
    }

    #[test]
    fn an_announce_tells_who_what_and_where() {
        let told = line(&view(), &from("agent:Alice", &announce()), &announce()).unwrap();
        assert_eq!(told, (Style::Dim, ">> agent:Alice announced: mend the login [a.py, b.py]".to_owned()));
    }

    #[test]
    fn what_others_write_stays_on_its_line() {
        let id = IntentId::new("i1").unwrap();
        let faked = IntentAnnounce::new(id, "x\ncommitted a.py".to_owned(), Scope::files(["a.py"])).into();
        let (_, text) = line(&view(), &from("agent:Eve", &faked), &faked).unwrap();
        assert_eq!(text, ">> agent:Eve announced: x committed a.py [a.py]");
    }

    #[test]
    fn the_own_message_coming_back_is_no_news() {
        assert_eq!(line(&view(), &from("agent:Bob", &announce()), &announce()), None);
    }

    #[test]
    fn an_end_without_a_reason_has_no_tail() {
        let withdraw: Message = IntentWithdraw::new(IntentId::new("i1").unwrap()).into();
        let (_, text) = line(&view(), &from("agent:Alice", &withdraw), &withdraw).unwrap();
        assert_eq!(text, ">> agent:Alice ended intent i1");
    }

    #[test]
    fn numbers_read_like_words() {
        assert_eq!([count(1, "file"), count(3, "file")], ["1 file", "3 files"]);
        assert_eq!([bytes(812), bytes(1_540)], ["812 bytes", "1.5 kB"]);
    }
}
