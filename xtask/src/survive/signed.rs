//! What a verified session takes: an authority, and keys and certificates of its, as README tells.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::peer::Peer;
use crate::step::{self, Failure};

/// The role that a certificate alone does not grant (ROL-02).
const ROLES: &str = r#"{"default_role":"contributor"}"#;

/// Everything, in one folder.
pub(super) struct Signed(PathBuf);

impl Signed {
    /// Makes it, with `mpac-ws cert` alone.
    ///
    /// # Errors
    /// When the program makes something else.
    pub(super) fn prepare(folder: &Path, agents: &[&str]) -> Result<Self, Failure> {
        let folder = folder.join("certificates");
        let cert = |arguments: &[&str]| {
            let mut command = Command::new(step::target().join("debug/mpac-ws"));
            command.arg("cert").args(arguments);
            command.arg("--out").arg(if arguments[0] == "ca" { folder.join("ca") } else { folder.clone() });
            if arguments[0] == "issue" {
                command.arg("--ca").arg(folder.join("ca"));
            }
            step::read(&mut command).map(drop)
        };
        cert(&["ca"])?;
        cert(&["issue", "--server", "127.0.0.1"])?;
        agents.iter().try_for_each(|name| cert(&["issue", name]))?;
        Ok(Self(folder))
    }

    pub(super) fn equip_server(&self, command: &mut Command) {
        command.args(["--security-profile", "verified", "--role-policy", ROLES, "--trust-anchors"]);
        command.arg(self.0.join("ca/ca.pem"));
        command.arg("--tls-cert").arg(self.0.join("127.0.0.1.pem"));
        command.arg("--tls-key").arg(self.0.join("127.0.0.1.key.pem"));
    }

    pub(super) fn equip_agent(&self, command: &mut Command, name: &str) {
        command.arg("--key").arg(self.0.join(format!("agent-{name}.key.pem")));
        command.arg("--chain").arg(self.0.join(format!("agent-{name}.pem")));
        // Of its own: both write it.
        command.arg("--known-coordinators").arg(self.0.join(format!("known-to-{name}")));
        command.env("SSL_CERT_FILE", self.0.join("ca/ca.pem"));
    }
}

/// Nothing was dropped for its signature, and nobody saw the coordinator contradict itself (SEC-27, SEC-28).
///
/// # Errors
/// What the agent said about it.
pub(super) fn nobody_was_distrusted(agent: &Peer) -> Result<(), Failure> {
    let alarm = |text: &str| text.starts_with("dropped: ") || text.contains("contradicts itself");
    match agent.lines().into_iter().find(|line| alarm(&line.text)) {
        None => Ok(()),
        Some(line) => {
            Err(Failure::check(format!("{} said: {}\n{}", agent.name(), line.text, agent.tail(20))))
        }
    }
}
