//! A server that is not the one the agent was sent to: ours shows its credential to nobody else.

use super::scene::{Scene, TLS};
use super::wire::ANSWER;
use super::{Attack, Done, ensure};
use crate::peer::Peer;
use crate::step::{self, Failure};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "shows-another-certificate",
        ids: &["PAR-21", "SEC-37"],
        answer: "the agent leaves, and has shown nothing",
        stage: TLS,
        run: another_certificate,
    },
    Attack {
        name: "shows-a-certificate-nobody-vouches-for",
        ids: &["PAR-21", "SEC-37"],
        answer: "the agent leaves, and has shown nothing",
        stage: TLS,
        run: unknown_certificate,
    },
    Attack {
        name: "asks-for-the-credential-in-the-clear",
        ids: &["PAR-21", "PRV-05"],
        answer: "the agent does not even connect",
        stage: TLS,
        run: in_the_clear,
    },
];

/// Sends an agent there with Bob's key; what it said before it gave up.
fn sent(scene: &mut Scene, url: &str, more: &[&str]) -> Result<String, Failure> {
    let key = scene.key("bob", &[])?;
    let mut agent = std::process::Command::new(step::target().join("debug/mpac-agent"));
    agent.arg(url).args(["--name", "bob", "--task", "x", "--reconnect-for-sec", "0"]).args(more);
    agent.env("MPAC_CREDENTIAL", format!("api_key:{key}")).env("ANTHROPIC_API_KEY", "none");
    agent.env("HOME", scene.path("home")).current_dir(scene.path("cwd"));
    let mut agent = Peer::start("agent", &mut agent, None)?;
    let status = agent.wait_end(ANSWER)?;
    let said = agent.tail(20);
    ensure(&format!("that it failed: {said}"), &status.success(), &false)?;
    ensure("a secret in what it says", &said.contains(&key), &false)?;
    // Nobody of that name has been at the server.
    let summary = scene.ann.ask(&serde_json::json!({"type": "SESSION_SUMMARY"}))?;
    ensure("who is in", &summary["session"]["participant_count"], &serde_json::json!(1))?;
    Ok(said)
}

fn another_certificate(scene: &mut Scene) -> Done {
    let url = scene.url.clone();
    let said = sent(scene, &url, &["--pin", &format!("sha256:{}", "ab".repeat(32))])?;
    ensure(&said, &said.contains("certificate"), &true)
}

fn unknown_certificate(scene: &mut Scene) -> Done {
    let url = scene.url.clone();
    let said = sent(scene, &url, &[])?;
    ensure(&said, &said.contains("certificate"), &true)
}

fn in_the_clear(scene: &mut Scene) -> Done {
    // An address that is kept for documentation: nobody is there, and it is not this machine.
    let said = sent(scene, "ws://192.0.2.7:8766", &[])?;
    ensure(&said, &said.contains("not encrypted"), &true)
}
