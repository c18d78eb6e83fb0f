//! What was typed at the prompt.

use mpac_wire::names::{AckType, Decision};

use super::help::{Entry, entry};
use crate::agent::Verdict;
use crate::console::Layout;

/// How many things `log` shows.
const LOG_LINES: usize = 20;

/// A command of the interactive mode. Ids are as they were typed: perhaps only the beginning of one.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Ack {
        conflict: Option<String>,
        how: AckType,
    },
    Conflict(Option<String>),
    Conflicts,
    Diff(Option<Layout>),
    /// How a local file differs from the shared one.
    Differ(String),
    Escalate {
        conflict: String,
        to: String,
        reason: Option<String>,
    },
    Files,
    /// About one command, if it is named.
    Help(Option<&'static Entry>),
    Log(usize),
    /// Known, and something behind it is missing or wrong.
    Misused(&'static Entry),
    /// An empty line.
    Nothing,
    Quit,
    Resolve {
        conflict: String,
        verdict: Box<Verdict>,
    },
    RotateKey,
    Status,
    Task(String),
    /// With the first word.
    Unknown(String),
    View(String),
    Who,
    Withdraw {
        intent: Option<String>,
        reason: Option<String>,
    },
}

impl Command {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if word.is_empty() {
            return Self::Nothing;
        }
        let Some(entry) = entry(&word.to_lowercase()) else { return Self::Unknown(word.to_owned()) };
        Self::named(entry.name(), rest.trim()).unwrap_or(Self::Misused(entry))
    }

    /// `None` when what follows the name does not fit it.
    fn named(name: &str, rest: &str) -> Option<Self> {
        let alone = |command: Self| rest.is_empty().then_some(command);
        match name {
            "ack" => ack(rest),
            "conflict" => Some(Self::Conflict(at_most_one(rest)?)),
            "conflicts" => alone(Self::Conflicts),
            "diff" if rest.is_empty() => Some(Self::Diff(None)),
            "diff" => Some(match Layout::named(rest) {
                Some(layout) => Self::Diff(Some(layout)),
                None => Self::Differ(rest.to_owned()),
            }),
            "escalate" => escalate(rest),
            "files" => alone(Self::Files),
            "help" if rest.is_empty() => Some(Self::Help(None)),
            "help" => Some(Self::Help(Some(entry(rest)?))),
            "log" if rest.is_empty() => Some(Self::Log(LOG_LINES)),
            "log" => rest.parse().ok().filter(|lines| *lines > 0).map(Self::Log),
            "quit" => alone(Self::Quit),
            "resolve" => resolve(rest),
            "rotate-key" => alone(Self::RotateKey),
            "status" => alone(Self::Status),
            "task" => (!rest.is_empty()).then(|| Self::Task(rest.to_owned())),
            "view" => (!rest.is_empty()).then(|| Self::View(rest.to_owned())),
            "who" => alone(Self::Who),
            "withdraw" => withdraw(rest),
            _ => None,
        }
    }
}

fn at_most_one(rest: &str) -> Option<Option<String>> {
    let mut words = rest.split_whitespace();
    let first = words.next().map(str::to_owned);
    words.next().is_none().then_some(first)
}

fn ack(rest: &str) -> Option<Command> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let how = |word: &str| Some(AckType::from(word)).filter(|how| AckType::LISTED.contains(how));
    let (conflict, how) = match words[..] {
        [] => (None, AckType::Seen),
        [one] => how(one).map_or_else(|| (Some(one), AckType::Seen), |how| (None, how)),
        [one, word] => (Some(one), how(word)?),
        _ => return None,
    };
    Some(Command::Ack { conflict: conflict.map(str::to_owned), how })
}

/// What stands before `-m`, and what behind it: no quotes are needed.
fn with_reason(rest: &str) -> Option<(&str, Option<String>)> {
    match rest.split_once(" -m ") {
        Some((before, why)) if !why.trim().is_empty() => Some((before, Some(why.trim().to_owned()))),
        Some(_) => None,
        None if rest.ends_with(" -m") => None,
        None => Some((rest, None)),
    }
}

fn withdraw(rest: &str) -> Option<Command> {
    // The reason may be all there is.
    let (before, reason) = match rest.strip_prefix("-m") {
        Some(why) if why.starts_with(' ') => ("", Some(why.trim().to_owned())),
        Some(_) => return None,
        None => with_reason(rest)?,
    };
    Some(Command::Withdraw { intent: at_most_one(before)?, reason })
}

fn escalate(rest: &str) -> Option<Command> {
    let (before, reason) = with_reason(rest)?;
    let (conflict, to) = before.trim().split_once(char::is_whitespace)?;
    let to = to.trim();
    let to = to.strip_prefix("to ").unwrap_or(to).trim();
    let named = !to.is_empty() && to != "to";
    named.then(|| Command::Escalate { conflict: conflict.to_owned(), to: to.to_owned(), reason })
}

fn resolve(rest: &str) -> Option<Command> {
    let (before, rationale) = with_reason(rest)?;
    let mut words = before.split_whitespace();
    let conflict = words.next()?.to_owned();
    let decision = Decision::from(words.next()?);
    // What is not listed goes over the wire as well, but a person has mistyped it.
    if !Decision::LISTED.contains(&decision) {
        return None;
    }
    let mut verdict = Verdict::of(decision);
    verdict.rationale = rationale;
    while let Some(word) = words.next() {
        match word {
            "--accept" => verdict.accepted.push(words.next()?.to_owned()),
            "--reject" => verdict.rejected.push(words.next()?.to_owned()),
            "--rollback" => {
                let text = words.by_ref().collect::<Vec<_>>().join(" ");
                verdict.rollback = Some(text).filter(|text| !text.is_empty());
                verdict.rollback.as_ref()?;
            }
            _ => return None,
        }
    }
    Some(Command::Resolve { conflict, verdict: Box::new(verdict) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command in a form that can be compared.
    fn parsed(line: &str) -> String {
        match Command::parse(line) {
            Command::Misused(entry) => format!("misused {}", entry.name()),
            Command::Help(entry) => format!("help {}", entry.map_or("", Entry::name)),
            Command::Resolve { conflict, verdict: v } => format!(
                "resolve {conflict} {} {:?} {:?} {:?} {:?}",
                v.decision, v.accepted, v.rejected, v.rollback, v.rationale
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn commands_are_read_by_their_first_word() {
        for (line, command) in [
            ("", "Nothing"),
            ("  quit ", "Quit"),
            ("EXIT", "Quit"),
            ("help", "help "),
            ("? ls", "help files"),
            ("view src/my file.py", r#"View("src/my file.py")"#),
            ("task  don't  stop", r#"Task("don't  stop")"#),
            ("ls", "Files"),
            ("who", "Who"),
            ("conflicts", "Conflicts"),
            ("conflict", "Conflict(None)"),
            ("conflict c-1", r#"Conflict(Some("c-1"))"#),
            ("log", "Log(20)"),
            ("log 3", "Log(3)"),
            ("diff", "Diff(None)"),
            ("diff Side-By-Side", "Diff(Some(SideBySide))"),
            ("diff src/my file.py", r#"Differ("src/my file.py")"#),
            ("status", "Status"),
            ("withdraw", "Withdraw { intent: None, reason: None }"),
            ("withdraw i-1", r#"Withdraw { intent: Some("i-1"), reason: None }"#),
            ("withdraw -m not now", r#"Withdraw { intent: None, reason: Some("not now") }"#),
            ("withdraw i-1 -m not now", r#"Withdraw { intent: Some("i-1"), reason: Some("not now") }"#),
            ("rotate-key", "RotateKey"),
            ("ack", "Ack { conflict: None, how: Seen }"),
            ("ack disputed", "Ack { conflict: None, how: Disputed }"),
            ("ack c-1", r#"Ack { conflict: Some("c-1"), how: Seen }"#),
            ("ack c-1 accepted", r#"Ack { conflict: Some("c-1"), how: Accepted }"#),
        ] {
            assert_eq!(parsed(line), command, "{line}");
        }
    }

    #[test]
    fn reasons_and_names_need_no_quotes() {
        assert_eq!(
            parsed("escalate c-1 to Ann Lee -m she's the owner"),
            r#"Escalate { conflict: "c-1", to: "Ann Lee", reason: Some("she's the owner") }"#
        );
        assert_eq!(
            parsed("escalate c-1 human:Olga"),
            r#"Escalate { conflict: "c-1", to: "human:Olga", reason: None }"#
        );
        assert_eq!(
            parsed("resolve c-1 approved --accept i-1 --reject i-2 --rollback put it back -m we talked"),
            r#"resolve c-1 approved ["i-1"] ["i-2"] Some("put it back") Some("we talked")"#
        );
    }

    #[test]
    fn half_a_command_is_misused_and_a_sentence_is_unknown() {
        for line in [
            "task",
            "view",
            "quit now",
            "who else",
            "log many",
            "log 0",
            "help me",
            "ack a b c",
            "ack c-1 perhaps",
            "escalate c-1",
            "escalate c-1 to",
            "escalate c-1 to Olga -m",
            "resolve c-1",
            "resolve c-1 perhaps",
            "resolve c-1 approved --accept",
            "resolve c-1 approved --rollback",
            "resolve c-1 approved now",
            "conflict a b",
            "withdraw a b",
            "withdraw -m",
        ] {
            let name = line.split(' ').next().unwrap();
            assert_eq!(parsed(line), format!("misused {name}"), "{line}");
        }
        assert_eq!(parsed("mend the login"), r#"Unknown("mend")"#);
    }
}
