//! What is explored: a few people, what they may do, and under which rules.

use mpac_core::{ProtocolLevel, SessionConfig};
use mpac_wire::Seconds;
use mpac_wire::names::{ComplianceProfile, Decision, ExecutionModel};

use super::alphabet::*;
use super::explore::Setting;
use super::node::Action;
use crate::world::session_id;

/// How much is explored.
#[derive(Clone, Copy)]
pub(super) enum Effort {
    /// With the other tests.
    Little,
    /// What `cargo xtask ci` asks for.
    Full,
    /// So many actions deep.
    Depth(usize),
}

/// Which rules apply.
#[derive(Clone, Copy)]
struct Rules {
    level: ProtocolLevel,
    governed: bool,
    asks_first: bool,
}

impl Rules {
    fn name(self) -> String {
        let profile = if self.governed { "governance" } else { "core" };
        let model = if self.asks_first { "pre" } else { "post" };
        format!("{} {profile} {model}_commit", self.level)
    }
}

/// Short times, so that all of them meet; patient people never fall silent and intents do not expire on the way.
fn config(rules: Rules, theme: &Theme) -> SessionConfig {
    let patient = theme.patient;
    let mut config = SessionConfig::new(session_id());
    config.level = rules.level;
    if rules.governed {
        config.compliance_profile = ComplianceProfile::Governance;
    }
    if rules.asks_first {
        config.execution_model = ExecutionModel::PreCommit;
    }
    config.status_heartbeats = false;
    if theme.forgetful {
        config.retained_records = 1;
    }
    let sec = |seconds| Some(Seconds::whole(seconds));
    config.default_intent_ttl_sec = Seconds::whole(if patient { 5000 } else { 60 });
    config.liveness.unavailability_timeout_sec = sec(if patient { 1000 } else { 40 });
    config.liveness.intent_claim_grace_period_sec = sec(30);
    config.governance.intent_expiry_grace_sec = sec(20);
    config.governance.resolution_timeout_sec = sec(50);
    config.governance.frozen_scope_phase_1_sec = sec(20);
    config.governance.frozen_scope_phase_2_sec = sec(20);
    config
}

/// Alice, Bob and one who decides.
fn people() -> Vec<Action> {
    vec![join("alice", "contributor"), join("bob", "contributor"), join("olga", "arbiter")]
}

/// What one leaves another takes over.
fn claiming() -> Vec<Action> {
    vec![
        pass(),
        announce("alice", "a", &["x", "y"]),
        announce("bob", "b", &["x"]),
        announce("alice", "nc1", &["x"]),
        withdraw("alice", "a"),
        goodbye("alice", "transfer"),
        goodbye("alice", "withdraw"),
        goodbye("alice", "expire"),
        lose("alice"),
        join("alice", "contributor"),
        heartbeat("alice"),
        claim("bob", "c1", "a", "alice", &["x"]),
        claim("bob", "c2", "a", "alice", &["x", "y"]),
        claim("olga", "c3", "a", "alice", &["y"]),
        claim("bob", "c4", "a", "alice", &["x", "z"]),
        decide_claim("olga", "c1", Decision::Approved),
        decide_claim("olga", "c1", Decision::Rejected),
        decide_claim("bob", "c3", Decision::Rejected),
        decide_claim("alice", "c1", Decision::Rejected),
        goodbye("bob", "transfer"),
        join("bob", "contributor"),
        heartbeat("bob"),
        heartbeat("olga"),
        propose("bob", "p", Some("a")),
    ]
}

/// Three things to claim, and ids that are used again.
fn claiming_again() -> Vec<Action> {
    vec![
        pass(),
        claim("bob", "c1", "a", "alice", &["x"]),
        claim("bob", "c2", "a2", "alice", &["y"]),
        claim_for("olga", ("c1", "m1"), "a2", "alice", &["y"]),
        claim_for("olga", ("c1", "m2"), "a3", "alice", &["z"]),
        claim_for("olga", ("c3", "nc1"), "a3", "alice", &["z"]),
        decide_claim("olga", "c1", Decision::Approved),
        decide_claim("olga", "c2", Decision::Rejected),
        goodbye("bob", "transfer"),
        join("alice", "contributor"),
    ]
}

/// Two want the same, and somebody decides, or nobody.
fn disputing() -> Vec<Action> {
    vec![
        pass(),
        announce("alice", "a", &["x"]),
        announce_urgently("bob", "b", &["x", "y"]),
        announce("bob", "b2", &["y"]),
        grow("bob", "b2", &["x", "y"]),
        withdraw("alice", "a"),
        withdraw("bob", "b"),
        ack("alice"),
        ack("bob"),
        escalate("alice", "olga"),
        resolve("olga", 0, Decision::Approved, &[]),
        resolve("olga", 0, Decision::Approved, &["a"]),
        resolve("olga", 0, Decision::Approved, &["a", "b"]),
        resolve("olga", 1, Decision::Dismissed, &[]),
        resolve("bob", 0, Decision::Approved, &[]),
        propose("alice", "p", Some("a")),
        commit("alice", "q", Some("a")),
        commit("bob", "r", Some("b")),
        goodbye("olga", "withdraw"),
        join("olga", "arbiter"),
        goodbye("bob", "transfer"),
        join("bob", "contributor"),
    ]
}

/// People fall silent, leave and come back while others build on what they announced.
fn coming_and_going() -> Vec<Action> {
    let mut actions = vec![pass()];
    for (who, own) in [("alice", "a"), ("bob", "b")] {
        actions.extend([
            heartbeat(who),
            lose(who),
            join(who, "contributor"),
            goodbye(who, "withdraw"),
            goodbye(who, "transfer"),
            goodbye(who, "expire"),
            announce(who, own, &[if who == "alice" { "x" } else { "y" }]),
            withdraw(who, own),
        ]);
    }
    actions.extend([
        prolong("alice", "a"),
        propose("alice", "p", Some("a")),
        propose("bob", "q", Some("a")),
        propose("bob", "o", None),
        commit("bob", "q", None),
        commit("alice", "p", Some("a")),
        heartbeat("olga"),
    ]);
    actions
}

/// Who may write what, and what becomes of it.
fn writing() -> Vec<Action> {
    vec![
        pass(),
        announce("alice", "a", &["x"]),
        announce("bob", "b", &["x"]),
        announce("bob", "a", &["y"]),
        withdraw("alice", "a"),
        withdraw("bob", "b"),
        replace("alice", "a", "a2", &["x", "y"]),
        propose("alice", "p", Some("a")),
        propose("bob", "q", Some("a")),
        propose("bob", "q2", Some("b")),
        commit("alice", "p", Some("a")),
        commit("alice", "r", Some("a")),
        commit("bob", "q", Some("a")),
        commit("bob", "s", Some("b")),
        commit("bob", "u", None),
        supersede("alice", "t", "r", "a"),
        supersede("bob", "v", "q", "b"),
        reject("olga", "p"),
        reject("olga", "q"),
        review("olga", "p", Decision::Approved),
        review("olga", "r", Decision::Rejected),
        resolve("olga", 0, Decision::Approved, &["b"]),
        resolve("olga", 0, Decision::Approved, &[]),
        goodbye("alice", "transfer"),
        join("alice", "contributor"),
    ]
}

/// Stepping back for others, one's own intents taking each other's place.
fn yielding() -> Vec<Action> {
    vec![
        pass(),
        announce("alice", "a", &["x"]),
        announce("alice", "a2", &["x", "y"]),
        announce("alice", "a", &["x", "y"]),
        replace("alice", "a", "a3", &["y"]),
        announce("bob", "b", &["x"]),
        announce("bob", "b2", &["y"]),
        replace("bob", "b", "b3", &["x"]),
        defer("bob", "d1", "a"),
        defer("bob", "d2", "a2"),
        defer("alice", "d3", "b"),
        withdraw("alice", "a"),
        withdraw("alice", "a2"),
        withdraw("bob", "b"),
        propose("bob", "q", Some("a")),
        goodbye("alice", "transfer"),
        goodbye("alice", "withdraw"),
        join("alice", "contributor"),
        heartbeat("bob"),
        heartbeat("alice"),
        heartbeat("olga"),
    ]
}

/// A subject: who does what, from where on, and how far that is followed.
struct Theme {
    name: &'static str,
    actions: fn() -> Vec<Action>,
    /// After the people have come.
    opening: fn() -> Vec<Action>,
    patient: bool,
    /// Remembers one finished record of a kind, and no more.
    forgetful: bool,
    levels: &'static [ProtocolLevel],
    modes: &'static [Mode],
    little: usize,
    full: usize,
}

/// Whether governance applies, and whether operations are authorised before they happen.
type Mode = (bool, bool);

const CORE: Mode = (false, false);
const GOVERNED: Mode = (true, false);
const ASKING: Mode = (true, true);

const TWO: &[ProtocolLevel] = &[ProtocolLevel::V0_1_13, ProtocolLevel::V0_1_15];

const THEMES: [Theme; 6] = [
    Theme {
        name: "claiming",
        actions: claiming,
        opening: || vec![announce("alice", "a", &["x", "y"])],
        patient: false,
        forgetful: false,
        levels: TWO,
        modes: &[CORE, GOVERNED],
        little: 2,
        full: 4,
    },
    Theme {
        name: "claiming again",
        actions: claiming_again,
        opening: || {
            let announced =
                [("a", "x"), ("a2", "y"), ("a3", "z")].map(|(id, file)| announce("alice", id, &[file]));
            announced.into_iter().chain([goodbye("alice", "transfer")]).collect()
        },
        patient: false,
        forgetful: true,
        levels: &[ProtocolLevel::V0_1_13],
        modes: &[CORE, GOVERNED],
        little: 3,
        full: 5,
    },
    Theme {
        name: "disputing",
        actions: disputing,
        opening: || vec![announce("alice", "a", &["x"]), announce("bob", "b2", &["y"])],
        patient: true,
        forgetful: false,
        levels: TWO,
        modes: &[CORE, ASKING],
        little: 2,
        full: 4,
    },
    Theme {
        name: "coming and going",
        actions: coming_and_going,
        opening: || vec![announce("alice", "a", &["x"])],
        patient: false,
        forgetful: false,
        levels: &[ProtocolLevel::V0_1_13],
        modes: &[CORE, ASKING],
        little: 2,
        full: 3,
    },
    Theme {
        name: "writing",
        actions: writing,
        opening: || vec![announce("alice", "a", &["x"]), announce("bob", "b", &["x"])],
        patient: true,
        forgetful: false,
        levels: TWO,
        modes: &[CORE, GOVERNED, ASKING],
        little: 2,
        full: 3,
    },
    Theme {
        name: "yielding",
        actions: yielding,
        opening: Vec::new,
        patient: false,
        forgetful: false,
        levels: &ProtocolLevel::ALL,
        modes: &[CORE],
        little: 2,
        full: 3,
    },
];

/// Every setting with its depth.
pub(super) fn all(effort: Effort) -> Vec<(Setting, usize)> {
    let mut settings = Vec::new();
    for theme in &THEMES {
        for level in theme.levels {
            for &(governed, asks_first) in theme.modes {
                let rules = Rules { level: *level, governed, asks_first };
                let mut opening = people();
                opening.extend((theme.opening)());
                let setting = Setting {
                    name: format!("{}, {}", theme.name, rules.name()),
                    config: config(rules, theme),
                    opening,
                    actions: (theme.actions)(),
                };
                let depth = match effort {
                    Effort::Little => theme.little,
                    // The first level to the full depth, the others one less: they differ in few rules.
                    Effort::Full => theme.full - usize::from(level != &theme.levels[0]),
                    Effort::Depth(depth) => depth,
                };
                settings.push((setting, depth));
            }
        }
    }
    settings
}
