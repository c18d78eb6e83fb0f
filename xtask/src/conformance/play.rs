//! Plays one story on one coordinator.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::cast::{self, Cast};
use super::endpoint::{Endpoint, Event, Runner, Setup, Trouble, What};
use super::judge::{self, Fault, Heard, Scene};
use super::keys;
use super::pattern::{Names, merge};
use super::schema::Schema;
use super::story::{Act, Feature, Signing, Step, Story};
use super::wire::{Check, Tally, Wire};

/// How a story ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Passed {
        /// Whether it has expectations of the session itself that were not looked at.
        is_unseen: bool,
    },
    Skipped(String),
    Failed(Box<Fault>),
}

/// How it ended, and what was wrong with single frames.
pub(super) struct Played {
    pub(super) outcome: Outcome,
    pub(super) wire: BTreeMap<Check, Tally>,
}

/// Plays `story` on a coordinator that `runner` makes.
pub(super) fn play(runner: &dyn Runner, story: &Story, schema: &Schema) -> Played {
    let mut wire = Wire::new(schema, &story.name, &story.protocol);
    wire.coordinator_key = keys::of_coordinator(&story.config);
    let outcome = match skip(runner, story) {
        Some(reason) => Outcome::Skipped(reason),
        None => match perform(runner, story, &mut wire) {
            Ok(_) if !story.opens => Outcome::Failed(Box::new(Fault::opening(
                story,
                "a refusal",
                "a session was opened".to_owned(),
            ))),
            Ok(is_unseen) => Outcome::Passed { is_unseen },
            Err(Ended::Refused(_)) if !story.opens => Outcome::Passed { is_unseen: false },
            Err(Ended::Refused(problem)) => {
                Outcome::Failed(Box::new(Fault::opening(story, "an open session", problem)))
            }
            Err(Ended::Skipped(reason)) => Outcome::Skipped(reason),
            Err(Ended::Failed(fault)) => Outcome::Failed(fault),
        },
    };
    Played { outcome, wire: wire.tallies }
}

/// Why this runner does not play it at all.
fn skip(runner: &dyn Runner, story: &Story) -> Option<String> {
    let lacks = runner.lacks();
    let missing: Vec<&str> =
        story.needs.iter().filter(|need| lacks.contains(need)).map(|it| it.name()).collect();
    if !missing.is_empty() {
        return Some(format!("needs {}", missing.join(", ")));
    }
    // Others play what is long under virtual time; what only sockets show, nobody else does.
    if story.needs.contains(&Feature::Server) {
        return None;
    }
    let takes = story.seconds();
    runner
        .patience()
        .filter(|most| takes > *most)
        .map(|most| format!("takes more than {most} s of real time"))
}

enum Ended {
    Skipped(String),
    Refused(String),
    Failed(Box<Fault>),
}

/// The session that a story plays in.
const SESSION: &str = "conformance";

/// Whether something of it could not be seen.
fn perform(runner: &dyn Runner, story: &Story, wire: &mut Wire<'_>) -> Result<bool, Ended> {
    let ended = |trouble| match trouble {
        Trouble::Skip(reason) => Ended::Skipped(reason),
        Trouble::Refused(problem) => Ended::Refused(problem),
        Trouble::Broken(problem) => {
            Ended::Failed(Box::new(Fault::opening(story, "an answer to the opening", problem)))
        }
    };
    let named = story.config.get("session_id").and_then(Value::as_str);
    let session = runner.session(story).unwrap_or_else(|| named.unwrap_or(SESSION).to_owned());
    session.clone_into(&mut wire.session);
    let mut endpoint = runner.begin(story, &session).map_err(ended)?;
    endpoint.open(&Setup::of(story, &session)).map_err(ended)?;
    let mut stage = Stage {
        cast: Cast::new(&session, &story.protocol, cast::ids(&story.name)),
        names: Names::new(&session, endpoint.now()),
        endpoint: endpoint.as_mut(),
        joined: BTreeSet::new(),
        sent: BTreeMap::new(),
        at: 0.0,
        is_unseen: false,
        wire,
    };
    for step in &story.steps {
        match stage.step(step) {
            Ok(None) => {}
            Ok(Some(fault)) => return Err(Ended::Failed(Box::new(fault.at(story, step)))),
            Err(Trouble::Skip(reason)) => return Err(Ended::Skipped(reason)),
            Err(Trouble::Refused(problem) | Trouble::Broken(problem)) => {
                return Err(Ended::Failed(Box::new(Fault::broken(story, step, problem))));
            }
        }
    }
    Ok(stage.is_unseen)
}

/// What is known while a story is played.
struct Stage<'a, 'w> {
    endpoint: &'a mut dyn Endpoint,
    cast: Cast,
    names: Names,
    /// Connections whose HELLO was accepted and who have not left.
    joined: BTreeSet<String>,
    /// Frames of labelled steps.
    sent: BTreeMap<String, Value>,
    at: f64,
    is_unseen: bool,
    wire: &'a mut Wire<'w>,
}

impl Stage<'_, '_> {
    fn step(&mut self, step: &Step) -> Result<Option<Fault>, Trouble> {
        self.at = step.time.after(self.at);
        let waited = self.endpoint.advance(self.at)?;
        let waited = self.hear(waited);
        self.names.now = self.endpoint.now();
        let present = self.joined.clone();
        let frame = self.frame(step)?;
        let events = match &step.act {
            Act::Wait => Vec::new(),
            Act::Disconnect { conn } => {
                self.joined.remove(conn);
                self.endpoint.disconnect(conn)?
            }
            Act::Deafen { conn } => {
                self.joined.remove(conn); // nobody can say what comes there
                self.endpoint.deafen(conn)?;
                Vec::new()
            }
            Act::Local(local) => {
                let events = self.endpoint.local(local)?;
                if local.ends_connections() {
                    self.joined.clear();
                }
                events
            }
            Act::Binary { conn, .. } => {
                self.endpoint.send_binary(conn, frame.as_ref().map_or("", |(text, _)| text.as_str()))?
            }
            act => {
                let conn = act.conn().unwrap_or_default().to_owned();
                let text = frame.as_ref().map(|(text, _)| text.clone()).unwrap_or_default();
                self.cast.sent(&conn, &text);
                self.endpoint.send(&conn, &text)?
            }
        };
        let followed = self.hear(events);
        self.roster(step, &frame, &followed);
        if let (Some(label), Some((_, value))) = (&step.label, &frame) {
            let id = value["message_id"].as_str().unwrap_or_default().to_owned();
            self.names.labels.insert(label.clone(), id);
            self.sent.insert(label.clone(), value.clone());
        }
        let mut snapshot = None;
        if step.expects.iter().any(judge::needs_snapshot) {
            snapshot = self.endpoint.snapshot()?;
            self.is_unseen |= snapshot.is_none();
        }
        let scene = Scene {
            step,
            present: &present,
            message: frame.as_ref().map(|(_, value)| value),
            labelled: &self.sent,
            waited: &waited,
            followed: &followed,
            snapshot: snapshot.as_ref(),
        };
        Ok(judge::judge(&scene, &mut self.names))
    }

    /// What is sent in this step, as text and, where it is JSON, as a value.
    fn frame(&mut self, step: &Step) -> Result<Option<(String, Value)>, Trouble> {
        let wrong = |problem: String| Trouble::Broken(format!("the story cannot be played: {problem}"));
        self.names.sent = None;
        let value = match &step.act {
            Act::Message { conn, kind, payload, with, signed } => {
                self.names.sent = Some(self.cast.next_id());
                let message = self.cast.envelope(&self.names, conn, kind, payload, with).map_err(wrong)?;
                match signed {
                    Some(signing) => self.signed(message, signing).map_err(wrong)?,
                    None => message,
                }
            }
            Act::Binary { conn, kind, payload } => {
                self.names.sent = Some(self.cast.next_id());
                self.cast.envelope(&self.names, conn, kind, payload, &json!({})).map_err(wrong)?
            }
            Act::Frame { value, .. } => self.names.fill(value).map_err(wrong)?,
            Act::Text { text, .. } => {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                self.names.sent = value["message_id"].as_str().map(str::to_owned);
                return Ok(Some((text.clone(), value)));
            }
            Act::Repeat { conn } => {
                let text = self.cast.last(conn).ok_or_else(|| wrong(format!("{conn} has sent nothing")))?;
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                self.names.sent = value["message_id"].as_str().map(str::to_owned);
                return Ok(Some((text, value)));
            }
            Act::Wait | Act::Disconnect { .. } | Act::Deafen { .. } | Act::Local(_) => return Ok(None),
        };
        if let Some(id) = value["message_id"].as_str() {
            self.names.sent = Some(id.to_owned());
        }
        Ok(Some((value.to_string(), value)))
    }

    /// Signed, and then changed as the story says.
    fn signed(&self, mut message: Value, signing: &Signing) -> Result<Value, String> {
        keys::sign(&mut message, &signing.key)?;
        merge(&mut message, self.names.fill(&signing.but)?);
        Ok(message)
    }

    /// Frames as values, after everything that can be said of one frame alone.
    fn hear(&mut self, events: Vec<Event>) -> Vec<Heard> {
        let mut heard = Vec::new();
        for Event { conn, what } in events {
            let (value, closed) = match what {
                What::Frame(text) => {
                    // What is no JSON is shown as it came.
                    let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text.as_str()));
                    self.wire.sees(&conn, &text, &value);
                    self.cast.hears(&conn, &value);
                    (value, None)
                }
                What::Closed(code) => {
                    self.joined.remove(&conn);
                    self.wire.ends(&conn);
                    (Value::Null, Some(code))
                }
            };
            heard.push(Heard { conn, value, closed });
        }
        heard
    }

    fn roster(&mut self, step: &Step, frame: &Option<(String, Value)>, events: &[Heard]) {
        let (Some(conn), Some((_, value))) = (step.act.conn(), frame) else { return };
        let got = |kind: &str| events.iter().any(|it| it.conn == conn && it.value["message_type"] == kind);
        match value["message_type"].as_str() {
            Some("HELLO") if got("SESSION_INFO") => {
                self.joined.insert(conn.to_owned());
            }
            Some("GOODBYE") if !got("PROTOCOL_ERROR") => {
                self.joined.remove(conn);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::parse;

    /// A server that nobody waits long for.
    struct Hasty;

    impl Runner for Hasty {
        fn name(&self) -> String {
            "hasty".to_owned()
        }

        fn lacks(&self) -> BTreeSet<Feature> {
            BTreeSet::from([Feature::Restart])
        }

        fn patience(&self) -> Option<f64> {
            Some(4.0)
        }

        fn begin(&self, _: &Story, _: &str) -> Result<Box<dyn Endpoint>, Trouble> {
            Err(Trouble::Skip("nothing is played here".to_owned()))
        }
    }

    #[test]
    fn what_takes_long_is_played_where_nobody_else_can() {
        let skipped = |head: &str, steps: &str| {
            let text = format!("title: t\ncovers: REC-01\n{head}\n{steps}");
            skip(&Hasty, &parse::story("a/b", &text).unwrap())
        };
        let long = "alice joins as contributor\n+11.5 wait\n    alice gets COORDINATOR_STATUS {}\n";
        assert_eq!(skipped("", long).as_deref(), Some("takes more than 4 s of real time"));
        assert_eq!(skipped("needs: server\n", long), None);
    }
}
