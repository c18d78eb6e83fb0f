//! A server of its own for each attack, with somebody in it who minds her own business, and a look around afterwards.
//!
//! Everything the server may touch lies in one temporary directory: its data and its workspace, where it may write, and
//! beside them its working, home and temporary directory and somebody else's files, where it may not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::member::{ACCEPTED, Member, announcement, api_key};
use super::people::{self, Authority, Person};
use super::server::{
    CWD, DATA, OTHERS, SHARE, START, add_key, command, contents, open, output, start, trusting,
};
use super::wire::{Socket, Wire};
use super::{Done, ensure};
use crate::peer::Peer;
use crate::step::{self, Failure};

/// Stands in everything that an attacker says, and in nothing that the bystander may hear.
pub(super) const PLANTED: &str = "planted";
/// What lies where nobody may write, or read from a session.
const ELSEWHERE: &str = "the key to everything";
/// The shared file.
pub(super) const SHARED: &str = "a file of everybody\n";

/// How a session is protected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    Open,
    Authenticated,
    Verified,
}

/// What an attack's server is like.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) profile: Profile,
    pub(super) tls: bool,
    pub(super) flags: &'static [&'static str],
    /// Makes files before the start; the path is the server's working directory.
    pub(super) prepare: fn(&Path) -> Done,
    /// Whose relays the bystander may hear.
    pub(super) allowed: &'static [&'static str],
    /// Whether the workspace may look different afterwards.
    pub(super) writes: bool,
    /// Whether there are commits that may be in no file: the server says so when it ends.
    pub(super) unwritable: bool,
}

/// Anybody may come in.
pub(super) const OPEN: Stage = Stage {
    profile: Profile::Open,
    tls: false,
    flags: &[],
    prepare: |_| Ok(()),
    allowed: &[],
    writes: false,
    unwritable: false,
};
/// Nobody comes in without a key.
pub(super) const AUTHENTICATED: Stage = Stage { profile: Profile::Authenticated, ..OPEN };
/// Nor without a certificate, and everything is signed.
pub(super) const VERIFIED: Stage =
    Stage { profile: Profile::Verified, prepare: people::write_authority, ..OPEN };
/// Nor in the clear.
pub(super) const TLS: Stage = Stage { tls: true, ..AUTHENTICATED };

/// A running server, its directories, and the bystander.
pub(super) struct Scene {
    root: TempDir,
    stage: Stage,
    server: Peer,
    pub(super) address: SocketAddr,
    pub(super) url: String,
    tls: Option<Arc<ClientConfig>>,
    pub(super) ann: Member,
    /// The bystander's credential.
    anns: Value,
    /// What must not stand in the server's output.
    secrets: Vec<String>,
    before: BTreeMap<PathBuf, Vec<u8>>,
    /// What the servers before this one said.
    said: String,
}

impl Scene {
    /// Starts the server, and lets the bystander in.
    ///
    /// # Errors
    /// It does not start, or she does not come in.
    pub(super) fn set(stage: &Stage) -> Result<Self, Failure> {
        let root = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
        for name in [CWD, "home", "tmp", SHARE, OTHERS] {
            std::fs::create_dir(root.path().join(name)).map_err(Failure::io("make a directory"))?;
        }
        write(&root.path().join(SHARE).join("shared.txt"), SHARED)?;
        write(&root.path().join(OTHERS).join("secret.txt"), ELSEWHERE)?;
        (stage.prepare)(&root.path().join(CWD))?;
        let (mut secrets, mut anns, mut person) = (Vec::new(), Value::Null, None);
        match stage.profile {
            Profile::Open => {}
            Profile::Authenticated => {
                secrets.push(add_key(root.path(), "ann", &[])?);
                anns = api_key(&secrets[0]);
            }
            Profile::Verified => {
                let own = Authority::of(&root.path().join(CWD))?.issue("agent:ann")?;
                anns = own.credential();
                person = Some(own);
            }
        }
        let before = contents(root.path(), stage)?;
        let (server, url, address) = start(root.path(), stage, 0)?;
        let tls =
            if stage.tls { Some(trusting(&root.path().join(DATA).join("tls/cert.pem"))?) } else { None };
        let mut ann = Member::new(open(address, tls.as_ref(), path_in(stage))?, "agent:ann");
        ann.person = person;
        let mut scene = Self {
            root,
            stage: *stage,
            server,
            address,
            url,
            tls,
            ann,
            anns,
            secrets,
            before,
            said: String::new(),
        };
        scene.seat_ann()?;
        Ok(scene)
    }

    fn seat_ann(&mut self) -> Done {
        let session = session_in(&self.stage);
        session.clone_into(&mut self.ann.session);
        let told = self.ann.hello(&self.anns)?;
        self.ann.missed.clear();
        ensure("the bystander's HELLO", &told, "SESSION_INFO")
    }

    /// Kills the server as a crash would, starts it again on what it stored, and lets the bystander back in.
    ///
    /// # Errors
    /// It does not come back.
    pub(super) fn crash(&mut self) -> Done {
        let (server, url, address) = {
            self.server.signal("KILL")?;
            self.server.wait_end(START)?;
            start(self.root.path(), &self.stage, self.address.port())?
        };
        self.said.push_str(&output(&self.server));
        (self.server, self.url, self.address) = (server, url, address);
        self.ann.socket = self.socket(path_in(&self.stage))?;
        self.seat_ann()
    }

    /// A connection over which nothing has been said, not even in TLS.
    pub(super) fn dial(&self) -> Result<Wire, Failure> {
        Wire::dial(self.address, self.tls.as_ref())
    }

    fn socket(&self, path: &str) -> Result<Socket, Failure> {
        open(self.address, self.tls.as_ref(), path)
    }

    /// A connection on which nobody has said HELLO.
    pub(super) fn stranger(&self, who: &str) -> Result<Member, Failure> {
        self.stranger_in(who, session_in(&self.stage))
    }

    /// The same, to another session.
    pub(super) fn stranger_in(&self, who: &str, session: &str) -> Result<Member, Failure> {
        let mut member = Member::new(self.socket(&format!("/session/{session}"))?, who);
        session.clone_into(&mut member.session);
        Ok(member)
    }

    /// Somebody who is in.
    pub(super) fn member(&mut self, who: &str) -> Result<Member, Failure> {
        let mut member = self.stranger(who)?;
        let credential = match self.stage.profile {
            Profile::Open => Value::Null,
            Profile::Authenticated => api_key(&self.key(who.trim_start_matches("agent:"), &[])?),
            Profile::Verified => {
                let person = self.issue(who)?;
                let credential = person.credential();
                member.person = Some(person);
                credential
            }
        };
        ensure(&format!("HELLO of {who}"), &member.hello(&credential)?, "SESSION_INFO")?;
        Ok(member)
    }

    /// Somebody with a certificate that the server trusts.
    pub(super) fn issue(&self, who: &str) -> Result<Person, Failure> {
        Authority::of(&self.path(CWD))?.issue(who)
    }

    /// A new key, which nothing that the server writes may repeat.
    pub(super) fn key(&mut self, name: &str, more: &[&str]) -> Result<String, Failure> {
        let secret = add_key(self.root.path(), name, more)?;
        self.secrets.push(secret.clone());
        Ok(secret)
    }

    /// Something else that the server may not repeat.
    pub(super) fn keep_secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// The program on this scene's data, for its other commands.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        command(self.root.path(), words)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Waits until the server has written this.
    pub(super) fn wait_for_log(&self, text: &str) -> Done {
        self.server
            .wait_for(text, START, |lines| lines.iter().any(|line| line.text.contains(text)).then_some(()))
    }

    /// What has to be so after every attack: the bystander is still in, works, and has heard nothing; the server stops in good
    /// order, has no bug to report, and has written nothing where it may not; its log lives through it all again.
    ///
    /// # Errors
    /// What is not so.
    pub(super) fn leave(mut self) -> Done {
        self.look_after_ann().map_err(|failure| {
            Failure::check(format!("the bystander: {failure}\n{}", self.server.tail(8)))
        })?;
        self.server.signal("INT")?;
        // Whoever answers the goodbye does not hold up the stop.
        self.ann.socket.end()?;
        let status = self.server.wait_end(START)?;
        let mut said = self.said.clone() + &output(&self.server);
        if self.stage.unwritable
            && !status.success()
            && said.contains("could not be written into the workspace")
        {
            let is_told = |line: &str| {
                ["was committed but not written", "was committed and stays out of the directory"]
                    .iter()
                    .any(|text| line.contains(text))
            };
            said = said.lines().filter(|line| !is_told(line)).collect();
        } else if !status.success() {
            return Err(Failure::check(format!("the server ended with {status}\n{}", self.server.tail(20))));
        }
        if said.contains("panicked") || said.contains("ERROR") {
            return Err(Failure::check(format!("the server has a bug to report\n{}", self.server.tail(20))));
        }
        for secret in &self.secrets {
            if said.contains(secret.as_str()) {
                return Err(Failure::check("a secret stands in the server's output"));
            }
        }
        let after = contents(self.root.path(), &self.stage)?;
        for (path, content) in &after {
            if self.before.get(path) != Some(content) {
                return Err(Failure::check(format!("{} was written", path.display())));
            }
        }
        if let Some(gone) = self.before.keys().find(|path| !after.contains_key(*path)) {
            return Err(Failure::check(format!("{} is gone", gone.display())));
        }
        step::read(&mut self.command(&["audit", "verify"])).map(drop)
    }

    fn look_after_ann(&mut self) -> Done {
        let content = self.ann.ask(&json!({"type": "FILE_READ", "path": "shared.txt"}))?;
        if !self.stage.writes {
            ensure("the shared file", content["content"].as_str().unwrap_or_default(), SHARED)?;
        }
        let said = self.ann.say("INTENT_ANNOUNCE", &announcement("anns-own", "anns-own.txt"))?;
        ensure("her announcement", &said, ACCEPTED)?;
        for frame in std::mem::take(&mut self.ann.missed) {
            let payload = &frame["payload"];
            let is_status = match frame["message_type"].as_str() {
                Some("COORDINATOR_STATUS") => {
                    payload["event"] == "heartbeat" || payload["event"] == "recovered"
                }
                // Of those who were let in, the bystander and the coordinator first of all.
                Some("PARTICIPANT_KEYS") => self.stage.profile != Profile::Open,
                _ => false,
            };
            let from = frame["sender"]["principal_id"].as_str().or_else(|| frame["updated_by"].as_str());
            let is_allowed = from.is_some_and(|from| self.stage.allowed.contains(&from));
            if frame.to_string().contains(PLANTED) || !(is_status || is_allowed) {
                return Err(Failure::check(format!("she heard {frame}")));
            }
        }
        Ok(())
    }
}

/// The session that the scene's people are in.
fn session_in(stage: &Stage) -> &'static str {
    if stage.flags.contains(&"--multi-session") { "shop" } else { "default" }
}

fn path_in(stage: &Stage) -> &'static str {
    if stage.flags.contains(&"--multi-session") { "/session/shop" } else { "/" }
}

/// Writes a file of a scene.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(path: &Path, text: &str) -> Done {
    std::fs::write(path, text).map_err(Failure::io(format!("write {}", path.display())))
}
