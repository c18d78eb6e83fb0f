//! Sessions whose coordinator is honest, and such in which it lies in every way there is, with its real key.

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}

mod forge;
mod honest;
mod lies;
mod shortened;
mod sights;
mod tampering;
mod versions;
mod witnesses;
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use mpac_wire::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use self::forge::Forger;
use self::world::{OWN, OWN_2, World, anchor, public};
use crate::audit::problem::Problem;
use crate::audit::which::Which;
use crate::cli::audit::Audit;
use crate::cli::{Command, Settings};

/// When bundles are made.
const MADE: &str = "2026-01-02T04:00:00Z";

/// What an auditor has.
struct Desk {
    dir: TempDir,
}

/// What was found out.
#[derive(Debug)]
struct Found {
    report: Value,
    ok: bool,
}

impl Desk {
    /// It trusts the coordinator's first key, and the authority.
    fn new() -> Self {
        Self::with(json!({}))
    }

    /// The same, and it knows somebody's key.
    fn naming(principal: &str, key: u8) -> Self {
        Self::with(json!({"principals": {principal: [public(key).fingerprint().to_string()]}}))
    }

    fn with(mut keys: Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), anchor()).unwrap();
        keys["coordinator"] = json!([public(OWN).fingerprint().to_string()]);
        keys["trust_anchors"] = json!(["ca.pem"]);
        fs::write(dir.path().join("keys.json"), format!("{keys}\n")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `audit verify --keys`.
    fn verify(&self, more: &[&str]) -> Found {
        let (out, result) = self.run(more);
        let report = serde_json::from_slice(&out).unwrap_or_else(|_| panic!("{result:?}"));
        Found { report, ok: result.is_ok() }
    }

    /// Why it has no answer.
    fn refused(&self, more: &[&str]) -> String {
        let (out, result) = self.run(more);
        assert!(out.is_empty());
        result.unwrap_err().to_string()
    }

    fn run(&self, more: &[&str]) -> (Vec<u8>, Result<(), Problem>) {
        let keys = self.path("keys.json");
        let flags =
            [&["mpac-ws", "audit", "verify", "--json", "--keys", keys.to_str().unwrap()], more].concat();
        let settings = Settings::try_parse_from(flags).unwrap();
        let Some(Command::Audit(asked)) = settings.command else { panic!() };
        let Audit::Verify(options) = *asked else { panic!() };
        let mut out = Vec::new();
        let result = super::verify::verify(&options.place, &options.against, &mut out);
        (out, result)
    }

    fn bundle(&self, text: &str) -> Found {
        self.bundle_and(text, &[])
    }

    fn bundle_and(&self, text: &str, more: &[&str]) -> Found {
        let path = self.path("bundle.json");
        fs::write(&path, text).unwrap();
        self.verify(&[&["--bundle", path.to_str().unwrap()], more].concat())
    }

    fn log(&self, data: &Path, more: &[&str]) -> Found {
        self.verify(&[&["--data-dir", data.to_str().unwrap()], more].concat())
    }
}

impl Found {
    /// Class, whose doing, message, entry.
    fn findings(&self) -> Vec<(&str, &str, Option<u64>, Option<u64>)> {
        let all = self.report["findings"].as_array().unwrap().iter();
        all.map(|it| {
            let text = |name: &str| it[name].as_str().unwrap();
            (text("class"), text("by"), it["message_seq"].as_u64(), it["log_seq"].as_u64())
        })
        .collect()
    }

    /// The one thing that was found.
    fn only(&self) -> (&str, &str) {
        let findings = self.findings();
        assert_eq!((findings.len(), self.ok), (1, false), "{:#}", self.report);
        (findings[0].0, findings[0].1)
    }

    fn assert_ok(&self) {
        assert!(self.ok && self.findings().is_empty(), "{:#}", self.report);
    }

    fn agreed(&self) -> Vec<(&str, &str)> {
        let all = self.report["agreed"].as_array().unwrap().iter();
        all.map(|it| (it["principal_id"].as_str().unwrap(), it["message_type"].as_str().unwrap())).collect()
    }
}

fn bundled(which: &Which) -> String {
    try_bundled(which).unwrap()
}

fn try_bundled(which: &Which) -> Result<String, Problem> {
    super::bundle::of(which, None, Timestamp::parse(MADE).unwrap())
}

/// An everyday session: as a bundle, and where it lies.
fn day() -> (String, world::Ended) {
    let world = World::day();
    let which = world.which();
    let ended = world.end();
    (bundled(&which), ended)
}

fn forger() -> Forger {
    Forger::new(&day().0)
}

#[test]
fn an_honest_session_verifies_as_a_bundle_and_as_a_log() {
    covers!("SEC-25", "SEC-29", "SEC-32", "D-130");
    let (bundle, ended) = day();
    let desk = Desk::new();
    for found in [desk.bundle(&bundle), desk.log(ended.data.path(), &[])] {
        found.assert_ok();
        let expected = [
            ("agent:alice", "CONFLICT_ACK"),
            ("agent:bob", "CONFLICT_ACK"),
            ("agent:alice", "OP_COMMIT"),
            ("agent:carol", "RESOLUTION"),
            ("agent:bob", "OP_COMMIT"),
        ];
        assert_eq!(found.agreed(), expected, "what was refused is no agreement");
        let because: Vec<&str> = found.report["participants"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["because"].as_str().unwrap())
            .collect();
        assert_eq!(because, ["certified", "certified", "rotated", "certified"]);
        let own = found.report["coordinator_keys"].as_array().unwrap();
        let because = |key: u8| {
            let fingerprint = public(key).fingerprint().to_string();
            own.iter().find(|it| it["fingerprint"] == fingerprint.as_str()).unwrap()["because"].clone()
        };
        assert_eq!((because(OWN), because(OWN_2)), ("named".into(), "rotated".into()));
    }
}

#[test]
fn what_is_not_kept_any_more_is_said_and_nobody_is_taken_at_their_word() {
    let world = World::without_its_beginning();
    let which = world.which();
    let ended = world.end();
    let (bundle, desk) = (bundled(&which), Desk::new());
    for found in [desk.bundle(&bundle), desk.log(ended.data.path(), &[])] {
        // No certificate of theirs is there.
        let classes: Vec<&str> = found.findings().iter().map(|it| it.0).collect();
        assert_eq!(classes, ["untrusted_identity"; 2], "{:#}", found.report);
        assert_eq!((&found.report["first"], &found.report["begins"]), (&json!(6), &json!("kept no longer")));
    }
    let named = |n: u8| json!([public(n).fingerprint().to_string()]);
    let keys =
        json!({"coordinator": named(OWN), "principals": {"agent:alice": named(1), "agent:bob": named(2)}});
    fs::write(desk.path("keys.json"), keys.to_string()).unwrap();
    for found in [desk.bundle(&bundle), desk.log(ended.data.path(), &[])] {
        found.assert_ok();
        assert_eq!(found.agreed(), [("agent:alice", "OP_COMMIT")]);
    }
    if let Some(dir) = std::env::var_os("MPAC_EVIDENCE_DIR") {
        let dir = PathBuf::from(dir);
        fs::write(dir.join("bundle.json"), bundle).unwrap();
        fs::write(dir.join("keys.json"), keys.to_string()).unwrap();
    }
}

/// With `MPAC_EVIDENCE_ENTRIES=100000` the log is that long, and `-- --nocapture` shows how long it takes.
#[test]
fn a_long_session_verifies_in_reasonable_time() {
    let entries: u64 = std::env::var("MPAC_EVIDENCE_ENTRIES").map_or(300, |text| text.parse().unwrap());
    let world = World::busy(entries);
    let which = world.which();
    let ended = world.end();
    let desk = Desk::new();
    let time = |what: &str, began: Instant, bytes: usize| {
        let took = began.elapsed().as_secs_f64();
        println!(
            "{what}: {entries} entries, {bytes} bytes: {took:.1} s, {:.0} entries/s",
            entries as f64 / took
        );
    };
    let began = Instant::now();
    let bundle = bundled(&which);
    time("bundle made", began, bundle.len());
    let began = Instant::now();
    let found = desk.bundle(&bundle);
    time("bundle verified", began, bundle.len());
    found.assert_ok();
    let began = Instant::now();
    desk.log(ended.data.path(), &[]).assert_ok();
    time("log verified", began, 0);
    let third = found.agreed().len() as u64 * 3;
    assert!(
        third + 100 > entries * 60 / 65,
        "one in three agrees to something, and each is accepted: {third}"
    );
}

/// `UPDATE_FIXTURES=1` rewrites what the independent verifier is tried on.
#[test]
fn the_fixture_is_what_this_program_makes() {
    let (bundle, _) = day();
    let desk = Desk::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/evidence");
    let texts = [("bundle.json", bundle), ("ca.pem", anchor())];
    let keys = fs::read_to_string(desk.path("keys.json")).unwrap();
    for (name, text) in texts.into_iter().chain([("keys.json", keys)]) {
        let path = fixtures.join(name);
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            fs::create_dir_all(&fixtures).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{}: run this test with UPDATE_FIXTURES=1, and read the diff", path.display());
    }
}
