//! Coordinators that are broken on purpose, one for each area: at least one story of the area finds each out. Without this
//! nobody knows whether the suite can fail.
//!
//! The core in this process, with something wrong on its way in or out: a session configured otherwise than was asked, a
//! frame that is changed before it is heard, an output that is lost, changed or sent to others.

use std::collections::{BTreeMap, BTreeSet};

use mpac_ws::drive::Driver;
use serde_json::{Value, json};

use super::endpoint::{Ask, Endpoint, Lines, Runner, Trouble};
use super::play::{self, Outcome};
use super::schema::Schema;
use super::story::Story;

/// One way to be wrong.
#[derive(Clone, Copy)]
struct Sabotage {
    /// The folder whose stories find it out.
    area: &'static str,
    /// What is wrong, to be read after "a coordinator that".
    fault: &'static str,
    config: fn(&mut Value),
    /// A frame that comes, and what was committed so far by target.
    inbound: fn(&mut Value, &BTreeMap<String, Value>),
    outbound: fn(&mut Vec<Value>),
}

const HONEST: Sabotage =
    Sabotage { area: "", fault: "is as it should be", config: |_| {}, inbound: |_, _| {}, outbound: |_| {} };

/// Whether a frame is of this type.
fn is(frame: &Value, kind: &str) -> bool {
    frame["message_type"] == kind
}

/// Changes the payload of every output of this type.
fn each(out: &mut [Value], kind: &str, change: fn(&mut Value)) {
    out.iter_mut()
        .filter(|out| is(&out["envelope"], kind))
        .for_each(|out| change(&mut out["envelope"]["payload"]));
}

fn drop_where(out: &mut Vec<Value>, kind: &str, wanted: fn(&Value) -> bool) {
    out.retain(|out| !(is(&out["envelope"], kind) && wanted(&out["envelope"]["payload"])));
}

fn without(value: &mut Value, key: &str) {
    if let Value::Object(map) = value {
        map.remove(key);
    }
}

const SABOTAGES: &[Sabotage] = &[
    Sabotage {
        area: "envelope",
        fault: "takes every version",
        inbound: |frame, _| frame["version"] = json!("0.1.13"),
        ..HONEST
    },
    Sabotage {
        area: "causality",
        fault: "never looks at Lamport values",
        config: |it| it["lamport_monotonicity"] = json!("warn"),
        ..HONEST
    },
    Sabotage {
        area: "sessions",
        fault: "closes with the clock of the message before",
        outbound: |out| {
            each(out, "SESSION_CLOSE", |it| {
                it["final_lamport_clock"] = json!(it["final_lamport_clock"].as_u64().unwrap_or(1) - 1)
            })
        },
        ..HONEST
    },
    Sabotage {
        area: "hello",
        fault: "counts one participant too many",
        outbound: |out| {
            each(out, "SESSION_INFO", |it| {
                it["participant_count"] = json!(it["participant_count"].as_u64().unwrap_or(0) + 1)
            })
        },
        ..HONEST
    },
    Sabotage {
        area: "liveness",
        fault: "misses nobody",
        config: |it| it["unavailability_timeout_sec"] = json!(86_400),
        ..HONEST
    },
    Sabotage {
        area: "departure",
        fault: "lets intents of those who leave run on",
        inbound: |frame, _| {
            if is(frame, "GOODBYE") {
                frame["payload"]["intent_disposition"] = json!("expire")
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "recovery",
        fault: "speaks under its first epoch for ever",
        outbound: |out| {
            out.iter_mut()
                .filter(|it| it["kind"] == "coordinator")
                .for_each(|it| it["envelope"]["coordinator_epoch"] = json!(1))
        },
        ..HONEST
    },
    Sabotage {
        area: "backend",
        fault: "knows no backend policy",
        config: |it| without(it, "backend_health_policy"),
        ..HONEST
    },
    Sabotage {
        area: "scopes",
        fault: "compares paths as they are written",
        inbound: |frame, _| {
            for path in frame
                .pointer_mut("/payload/scope/resources")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                if path.as_str().is_some_and(|path| path.starts_with("./") || path.contains("//")) {
                    *path = json!(format!("odd:{path}"));
                }
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "intents",
        fault: "lets no intent expire",
        inbound: |frame, _| {
            if is(frame, "INTENT_ANNOUNCE") && frame["payload"]["ttl_sec"].is_number() {
                frame["payload"]["ttl_sec"] = json!(1e6)
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "backoff",
        fault: "does not hold anybody to a wait",
        config: |it| without(it, "enforce_intent_backoff"),
        ..HONEST
    },
    Sabotage {
        area: "claims",
        fault: "grants every claim at once",
        config: |it| {
            without(it, "liveness");
            it["intent_claim_grace_sec"] = json!(0);
            it["compliance_profile"] = json!("core");
        },
        ..HONEST
    },
    Sabotage {
        area: "deferrals",
        fault: "never says that a deferral is over",
        outbound: |out| drop_where(out, "INTENT_DEFERRED", |it| it.get("status").is_some()),
        ..HONEST
    },
    Sabotage {
        area: "locks",
        fault: "has no race lock",
        config: |it| {
            if it["protocol_level"] == "0.1.15" {
                it["protocol_level"] = json!("0.1.14")
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "operations",
        fault: "does not listen to rejections",
        inbound: |frame, _| {
            if is(frame, "OP_REJECT") {
                frame["message_type"] = json!("HEARTBEAT");
                frame["payload"] = json!({"status": "working"});
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "batches",
        fault: "takes all-or-nothing batches in part",
        inbound: |frame, _| {
            if is(frame, "OP_BATCH_COMMIT") && frame["payload"]["atomicity"] == "all_or_nothing" {
                frame["payload"]["atomicity"] = json!("best_effort")
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "references",
        fault: "lets everybody write over newer work",
        inbound: |frame, current| {
            if is(frame, "OP_COMMIT")
                && let Some(current) =
                    frame["payload"]["target"].as_str().and_then(|target| current.get(target))
            {
                frame["payload"]["state_ref_before"] = current.clone();
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "cascades",
        fault: "does not tell that an operation went with its intent",
        outbound: |out| drop_where(out, "OP_REJECT", |it| it["reason"] == "intent_terminated"),
        ..HONEST
    },
    Sabotage {
        area: "conflicts",
        fault: "tells everybody of every conflict",
        outbound: |out| {
            out.iter_mut()
                .filter(|it| is(&it["envelope"], "CONFLICT_REPORT"))
                .for_each(|it| it["to"] = json!("all"))
        },
        ..HONEST
    },
    Sabotage {
        area: "governance",
        fault: "lets everybody resolve",
        inbound: |frame, _| {
            if is(frame, "HELLO")
                && let Some(roles) = frame.pointer_mut("/payload/roles").and_then(Value::as_array_mut)
            {
                roles.push(json!("owner"))
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "freezes",
        fault: "freezes nothing",
        config: |it| it["resolution_timeout_sec"] = json!(0),
        ..HONEST
    },
    Sabotage {
        area: "roles",
        fault: "has no role policy",
        config: |it| without(it, "role_policy"),
        ..HONEST
    },
    Sabotage {
        area: "capabilities",
        fault: "does not know batches",
        inbound: |frame, _| {
            if is(frame, "OP_BATCH_COMMIT") {
                frame["message_type"] = json!("SOMETHING_ELSE")
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "errors",
        fault: "does not say what an error answers",
        outbound: |out| each(out, "PROTOCOL_ERROR", |it| without(it, "refers_to")),
        ..HONEST
    },
    Sabotage {
        area: "extensions",
        fault: "loses what it does not know when it passes something on",
        outbound: |out| {
            for relay in out.iter_mut().filter(|it| it["kind"] == "relay") {
                if let Value::Object(payload) = &mut relay["envelope"]["payload"] {
                    payload
                        .retain(|key, _| key != "extensions" && !key.starts_with('x') && !key.contains('.'));
                }
            }
        },
        ..HONEST
    },
    Sabotage { area: "server", fault: "speaks before it passes on", outbound: |out| out.reverse(), ..HONEST },
    Sabotage {
        area: "security",
        fault: "takes every credential",
        config: |it| without(it, "credentials"),
        ..HONEST
    },
    Sabotage {
        area: "interplay",
        fault: "does not apply what was decided",
        inbound: |frame, _| {
            if is(frame, "RESOLUTION") {
                without(&mut frame["payload"], "outcome")
            }
        },
        ..HONEST
    },
    Sabotage {
        area: "goldens",
        fault: "does not show a message to its sender",
        outbound: |out| out.retain(|it| !is(&it["envelope"], "INTENT_ANNOUNCE")),
        ..HONEST
    },
];

/// The core with a fault around it.
struct Broken {
    core: Driver,
    sabotage: Sabotage,
    /// Last committed reference by target.
    current: BTreeMap<String, Value>,
}

impl Ask for Broken {
    fn ask(&mut self, request: &str) -> Result<String, Trouble> {
        let mut request: Value = serde_json::from_str(request).unwrap();
        if request["config"].is_object() {
            (self.sabotage.config)(&mut request["config"]);
        }
        if let Some(frame) = request.get_mut("envelope") {
            (self.sabotage.inbound)(frame, &self.current);
        }
        let mut answer: Value =
            serde_json::from_str(&self.core.answer(request.to_string().as_bytes())).unwrap();
        if let Some(out) = answer.get_mut("out").and_then(Value::as_array_mut) {
            for commit in out.iter().map(|out| &out["envelope"]).filter(|envelope| is(envelope, "OP_COMMIT"))
            {
                let target = commit["payload"]["target"].as_str().unwrap_or_default();
                self.current.insert(target.to_owned(), commit["payload"]["state_ref_after"].clone());
            }
            (self.sabotage.outbound)(out);
        }
        Ok(answer.to_string())
    }
}

impl Runner for Sabotage {
    fn name(&self) -> String {
        format!("a coordinator that {}", self.fault)
    }

    fn begin(&self, _: &Story, _: &str) -> Result<Box<dyn Endpoint>, Trouble> {
        let broken = Broken { core: Driver::new(), sabotage: *self, current: BTreeMap::new() };
        Ok(Box::new(Lines::new(broken)))
    }
}

/// Names of the stories that fail.
fn failing(sabotage: &Sabotage, stories: &[Story]) -> Vec<String> {
    let schema = Schema::load().unwrap();
    let fails = |story: &&Story| matches!(play::play(sabotage, story, &schema).outcome, Outcome::Failed(_));
    stories.iter().filter(fails).map(|story| story.name.clone()).collect()
}

#[test]
fn every_area_finds_out_a_coordinator_that_is_broken_there() {
    for sabotage in SABOTAGES {
        let stories = super::stories(&[format!("{}/", sabotage.area)]).unwrap();
        let found = failing(sabotage, &stories);
        assert!(
            !found.is_empty(),
            "no story of {} finds out a coordinator that {}",
            sabotage.area,
            sabotage.fault
        );
        println!(
            "{:<14}{} of {}: a coordinator that {}",
            sabotage.area,
            found.len(),
            stories.len(),
            sabotage.fault
        );
    }
}

#[test]
fn every_area_has_its_sabotage() {
    let stories = super::stories(&[]).unwrap();
    let areas: BTreeSet<&str> = stories.iter().map(|story| story.area()).collect();
    let broken: BTreeSet<&str> = SABOTAGES.iter().map(|sabotage| sabotage.area).collect();
    assert_eq!(areas, broken);
}

#[test]
fn without_a_fault_the_wrapper_changes_nothing() {
    let stories = super::stories(&[]).unwrap();
    assert_eq!(failing(&HONEST, &stories), [""; 0]);
}
