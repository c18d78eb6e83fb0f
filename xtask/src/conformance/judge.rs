//! Compares what came in one step with what must, may and must not come.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::pattern::{Names, short};
use super::relay;
use super::story::{Expect, Expected, Step, Story, Who};

/// Something that reached a connection.
pub(super) struct Heard {
    pub(super) conn: String,
    pub(super) value: Value,
    pub(super) closed: Option<u16>,
}

/// One step and what followed.
pub(super) struct Scene<'a> {
    pub(super) step: &'a Step,
    /// Who had joined before it.
    pub(super) present: &'a BTreeSet<String>,
    pub(super) message: Option<&'a Value>,
    /// Messages of labelled steps.
    pub(super) labelled: &'a BTreeMap<String, Value>,
    /// What came while time passed, and what then followed from what was done.
    pub(super) waited: &'a [Heard],
    pub(super) followed: &'a [Heard],
    pub(super) snapshot: Option<&'a Value>,
}

/// What went wrong.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Fault {
    /// The rule that is broken.
    pub(super) rule: String,
    pub(super) line: usize,
    pub(super) step: String,
    /// Whom it concerns.
    pub(super) who: String,
    pub(super) expected: String,
    pub(super) received: String,
}

/// The step before the first.
const OPENING: &str = "the session is opened";

impl Fault {
    /// Whether not even a session could be opened.
    pub(super) fn is_opening(&self) -> bool {
        self.step == OPENING
    }

    /// Before the first step.
    pub(super) fn opening(story: &Story, expected: &str, received: String) -> Self {
        let first = story.steps.first();
        Self {
            rule: story.covers[0].clone(),
            line: first.map_or(1, |step| step.line),
            step: OPENING.to_owned(),
            who: "the coordinator".to_owned(),
            expected: expected.to_owned(),
            received,
        }
    }

    pub(super) fn broken(story: &Story, step: &Step, problem: String) -> Self {
        Self { line: step.line, step: step.text.clone(), ..Self::opening(story, "an answer", problem) }
    }

    /// Names the step, and the story's first rule where none is named.
    pub(super) fn at(mut self, story: &Story, step: &Step) -> Self {
        step.text.clone_into(&mut self.step);
        if self.rule.is_empty() {
            story.covers[0].clone_into(&mut self.rule);
        }
        self
    }

    fn of(expect: &Expect, who: &str, received: String) -> Self {
        Self {
            rule: expect.rule.clone().unwrap_or_default(),
            line: expect.line,
            step: String::new(),
            who: who.to_owned(),
            expected: expect.text.clone(),
            received,
        }
    }
}

pub(super) fn needs_snapshot(expect: &Expect) -> bool {
    matches!(expect.what, Expected::Holds(_))
}

/// An expectation as it concerns one connection.
struct Line<'a> {
    expect: &'a Expect,
    met: bool,
}

/// The first thing that is wrong, if anything is.
pub(super) fn judge(scene: &Scene<'_>, names: &mut Names) -> Option<Fault> {
    let mut conns: BTreeSet<&str> = scene.present.iter().map(String::as_str).collect();
    conns.extend(scene.waited.iter().chain(scene.followed).map(|heard| heard.conn.as_str()));
    for expect in &scene.step.expects {
        if let Who::Conns(named) = &expect.who {
            conns.extend(named.iter().map(String::as_str));
        }
    }
    conns.extend(scene.step.act.conn());
    // The sender first: what it was told explains the rest.
    let mut conns: Vec<&str> = conns.into_iter().collect();
    conns.sort_by_key(|conn| scene.step.act.conn() != Some(conn));
    for conn in conns {
        if let Some(fault) = one_connection(scene, names, conn) {
            return Some(fault);
        }
    }
    let expects = &scene.step.expects;
    expects.iter().find_map(|expect| holds(scene, names, expect)).or_else(|| unheard(scene))
}

/// A line about all or others where there is nobody would hold whatever comes.
fn unheard(scene: &Scene<'_>) -> Option<Fault> {
    let is_asked = |expect: &&Expect| {
        matches!(expect.who, Who::All | Who::Others)
            && !expect.may
            && !matches!(expect.what, Expected::Nothing)
            && !scene.present.iter().any(|conn| concerns(scene, expect, conn))
    };
    let expect = scene.step.expects.iter().find(is_asked)?;
    Some(Fault::of(expect, "nobody", "there is nobody whom it concerns".to_owned()))
}

fn concerns(scene: &Scene<'_>, expect: &Expect, conn: &str) -> bool {
    let sender = scene.step.act.conn() == Some(conn);
    match &expect.who {
        Who::All => scene.present.contains(conn),
        Who::Others => scene.present.contains(conn) && !sender,
        Who::Sender => sender,
        Who::Conns(named) => named.iter().any(|name| name == conn),
        Who::Session => false,
    }
}

fn one_connection(scene: &Scene<'_>, names: &mut Names, conn: &str) -> Option<Fault> {
    let concerned = scene.step.expects.iter().filter(|expect| concerns(scene, expect, conn));
    let told = concerned.clone().filter(|expect| !expect.may && !matches!(expect.what, Expected::Nothing));
    let mut lines: Vec<Line<'_>> =
        told.flat_map(|expect| (0..expect.count).map(move |_| Line { expect, met: false })).collect();
    let optional: Vec<&Expect> = concerned.filter(|expect| expect.may).collect();
    for batch in [scene.waited, scene.followed] {
        let mut rank = 0;
        for heard in batch.iter().filter(|heard| heard.conn == conn) {
            if let Some(fault) = one_frame(scene, names, &mut lines, &optional, heard) {
                return Some(fault);
            }
            // Relay, then FILE_UPDATED, then the coordinator's own (SRV-06).
            let Some(next) = order(scene, heard) else { continue };
            if next < rank {
                let received = format!("too late in its step: {}", shown(heard));
                let expected = "the relay, then FILE_UPDATED, then the coordinator's messages".to_owned();
                let rule = "SRV-06".to_owned();
                let line = scene.step.line;
                return Some(Fault {
                    rule,
                    line,
                    step: String::new(),
                    who: conn.to_owned(),
                    expected,
                    received,
                });
            }
            rank = next;
        }
    }
    let missing = lines.iter().find(|line| !line.met)?;
    Some(Fault::of(missing.expect, conn, "nothing like it".to_owned()))
}

/// Takes one frame for the first line that it meets; else it must be optional.
fn one_frame(
    scene: &Scene<'_>,
    names: &mut Names,
    lines: &mut [Line<'_>],
    optional: &[&Expect],
    heard: &Heard,
) -> Option<Fault> {
    let mut nearest: Option<(&Expect, String)> = None;
    for at in 0..lines.len() {
        if lines[at].met {
            continue;
        }
        let expect = lines[at].expect;
        match meets(scene, names, expect, heard) {
            Ok(()) => {
                if expect.then && lines[..at].iter().any(|line| !line.met) {
                    return Some(Fault::of(expect, &heard.conn, format!("too early: {}", shown(heard))));
                }
                lines[at].met = true;
                return None;
            }
            Err(Some(why)) if nearest.is_none() => nearest = Some((expect, why)),
            Err(_) => {}
        }
    }
    let beat =
        heard.value["message_type"] == "COORDINATOR_STATUS" && heard.value["payload"]["event"] == "heartbeat";
    if beat || optional.iter().any(|expect| meets(scene, names, expect, heard).is_ok()) {
        return None;
    }
    if let Some((expect, why)) = nearest {
        return Some(Fault::of(expect, &heard.conn, format!("{why}\n      in {}", shown(heard))));
    }
    // It came instead of something, or where nothing was to come.
    let instead = lines.iter().find(|line| !line.met).map(|line| line.expect);
    let silent =
        |expect: &&Expect| matches!(expect.what, Expected::Nothing) && concerns(scene, expect, &heard.conn);
    let expect = instead.or_else(|| scene.step.expects.iter().find(silent));
    Some(Fault {
        rule: expect.and_then(|expect| expect.rule.clone()).unwrap_or_default(),
        line: scene.step.line,
        step: String::new(),
        who: heard.conn.clone(),
        expected: expect.map_or_else(|| "nothing else".to_owned(), |expect| expect.text.clone()),
        received: shown(heard),
    })
}

/// Whether a frame is what a line expects. `Err(None)`: it is something else altogether.
fn meets(scene: &Scene<'_>, names: &mut Names, expect: &Expect, heard: &Heard) -> Result<(), Option<String>> {
    let value = &heard.value;
    let is = |kind: &str| if value["message_type"] == kind { Ok(()) } else { Err(None) };
    let why = |path: &str, mismatch: super::pattern::Mismatch| Some(format!("{path}{mismatch}"));
    match &expect.what {
        Expected::Closed(code) => match heard.closed {
            Some(closed) if closed == *code => Ok(()),
            Some(closed) => Err(Some(format!("closed with {closed}"))),
            None => Err(None),
        },
        _ if heard.closed.is_some() => Err(None),
        Expected::Sideband(pattern) if value.get("message_type").is_none() => {
            names.matches(pattern, Some(value)).map_err(|it| why("", it))
        }
        Expected::Error { code, payload } => {
            is("PROTOCOL_ERROR")?;
            let mut pattern = payload.clone();
            pattern["error_code"] = json!(code);
            if pattern.get("refers_to").is_none() && names.sent.is_some() {
                pattern["refers_to"] = json!("$sent");
            }
            names.matches(&pattern, value.get("payload")).map_err(|it| why("payload.", it))
        }
        Expected::Authored { kind, payload, envelope } => {
            is(kind)?;
            if !relay::is_authored(value) {
                return Err(Some("it was not written by the coordinator".to_owned()));
            }
            names.matches(payload, value.get("payload")).map_err(|it| why("payload.", it))?;
            names.matches(envelope, Some(value)).map_err(|it| why("", it))
        }
        Expected::Relay { kind, of, payload } => {
            is(kind)?;
            let original = match of {
                Some(label) => scene.labelled.get(label),
                None => scene.message,
            };
            let Some(original) = original else { return Err(Some("there is no such message".to_owned())) };
            relay::same(original, value, payload)?;
            names.matches(payload, value.get("payload")).map_err(|it| why("payload.", it))
        }
        Expected::Sideband(_) | Expected::Nothing | Expected::Holds(_) => Err(None),
    }
}

/// The place of a frame within its step. A return or restoration (D-049, D-081) may be told on either side of the relay.
fn order(scene: &Scene<'_>, heard: &Heard) -> Option<u8> {
    let is_relay = scene.message.is_some_and(|message| {
        message["message_id"].is_string() && message["message_id"] == heard.value["message_id"]
    });
    match (heard.value["message_type"].as_str(), heard.value["type"].as_str()) {
        _ if is_relay => Some(0),
        (_, Some("FILE_UPDATED")) => Some(1),
        (Some("INTENT_UPDATE"), _) if !heard.value["payload"]["extensions"]["mpac"]["state"].is_null() => {
            None
        }
        (Some("INTENT_CLAIM_STATUS"), _) if heard.value["payload"]["decision"] == "withdrawn" => None,
        (Some("COORDINATOR_STATUS"), _) if heard.value["payload"]["event"] == "heartbeat" => None,
        _ => Some(2),
    }
}

fn holds(scene: &Scene<'_>, names: &mut Names, expect: &Expect) -> Option<Fault> {
    let (Expected::Holds(pattern), Some(snapshot)) = (&expect.what, scene.snapshot) else { return None };
    let mismatch = names.matches(pattern, Some(snapshot)).err()?;
    Some(Fault::of(expect, "the session", mismatch.to_string()))
}

fn shown(heard: &Heard) -> String {
    if let Some(code) = heard.closed {
        return format!("the connection is closed with {code}");
    }
    match heard.value["message_type"].as_str() {
        Some(kind) => format!("{kind} {}", short(&heard.value["payload"])),
        None => short(&heard.value),
    }
}
