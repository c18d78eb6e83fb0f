//! Credentials that another program judges (SEC-13).
//!
//! It is started for each one, gets a line of JSON on its standard input and answers with one on its standard output:
//!
//! ```text
//! {"session_id":"s","principal_id":"agent:bob","principal_type":"agent","credential":{"type":"custom","value":"…","issuer":…}}
//! {"accept":true,"principal_id":"agent:bob","issuer":"…"?,"roles":["contributor"]?,"expires_at":"2026-01-02T03:04:05Z"?}
//! ```
//!
//! Anything else, `{"accept":false}`, an exit code other than 0, and silence for 5 s refuse the credential.

use std::env;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mpac_core::Identity;
use mpac_wire::names::{CredentialType, Role};
use mpac_wire::redact::BLANK;
use mpac_wire::{Credential, PrincipalId, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use super::{Shown, refused};

/// How long it may think.
const WITHIN: Duration = Duration::from_secs(5);
/// How many may run at once: strangers start them.
const AT_ONCE: usize = 8;
/// Longer answers are no answers.
const LONGEST: u64 = 64 * 1024;

/// A program that judges credentials.
#[derive(Debug)]
pub(super) struct Custom {
    program: String,
    arguments: Vec<String>,
    places: Semaphore,
}

#[derive(Debug, Deserialize)]
struct Answer {
    accept: bool,
    principal_id: Option<PrincipalId>,
    issuer: Option<String>,
    roles: Option<Vec<Role>>,
    expires_at: Option<Timestamp>,
}

impl Custom {
    /// The program and its arguments, between white space.
    pub(super) fn new(command: &str) -> Self {
        let mut words = command.split_whitespace().map(str::to_owned);
        let program = words.next().unwrap_or_default();
        Self { program, arguments: words.collect(), places: Semaphore::new(AT_ONCE) }
    }

    /// Whether there is such a program, as far as that can be told before it is started. On Windows its name may lack its
    /// ending, so there nothing is told.
    pub(super) fn is_there(&self) -> bool {
        let program = Path::new(&self.program);
        if cfg!(windows) || program.components().count() > 1 {
            return cfg!(windows) || program.is_file();
        }
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
    }

    /// `None` when it does not say that the credential is good.
    pub(super) async fn identify(&self, shown: Shown<'_>) -> Option<Identity> {
        let answer = match timeout(WITHIN, self.ask(shown)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => {
                warn!("--credential-command {}: {reason}; the credential is refused", self.program);
                return None;
            }
            Err(_) => {
                warn!(
                    "--credential-command {}: no answer within {} s; the credential is refused",
                    self.program,
                    WITHIN.as_secs()
                );
                return None;
            }
        };
        let principal = match (answer.accept, answer.principal_id) {
            (true, Some(principal)) => principal,
            (true, None) => {
                refused::tell(
                    shown,
                    "--credential-command accepts it and does not say whose it is (`principal_id`)",
                );
                return None;
            }
            (false, _) => {
                refused::tell(shown, "--credential-command does not accept it");
                return None;
            }
        };
        Some(Identity::Proven {
            principal,
            method: CredentialType::Custom,
            issuer: answer.issuer.map(String::into_boxed_str),
            roles: answer.roles,
            expires_at: answer.expires_at,
        })
    }

    async fn ask(&self, shown: Shown<'_>) -> Result<Answer, String> {
        let _place = self.places.acquire().await.map_err(|error| error.to_string())?;
        let question = json!({
            "session_id": shown.at.session, "principal_id": shown.sender.principal_id,
            "principal_type": shown.sender.principal_type, "credential": shown.credential,
        });
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Whoever is not waited for any more, because time is up, ends.
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| error.to_string())?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err("it has no input or output".to_owned());
        };
        // A program may answer without reading.
        let _ = stdin.write_all(format!("{question}\n").as_bytes()).await;
        drop(stdin);
        let (mut text, mut said) = (String::new(), Vec::new());
        let (mut stdout, mut stderr) = (stdout.take(LONGEST), stderr.take(LONGEST));
        let (answer, _) = tokio::join!(stdout.read_to_string(&mut text), stderr.read_to_end(&mut said));
        answer.map_err(|error| format!("its answer cannot be read: {error}"))?;
        self.repeat(&said, shown.credential);
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("it ended with {status}"));
        }
        // Without what the parser found there: a program may have repeated the credential.
        serde_json::from_str(text.trim()).map_err(|error| {
            format!("its answer makes no sense at line {}, column {}", error.line(), error.column())
        })
    }

    /// What it says beside its answer, for the operator; also where it repeats what it was asked (PRV-05).
    fn repeat(&self, said: &[u8], credential: &Credential) {
        let (mut said, secret) = (String::from_utf8_lossy(said).into_owned(), credential.value.reveal());
        if !secret.is_empty() {
            // As it stands in JSON, between the quotes, and as it is.
            let quoted = json!(secret).to_string();
            said = said.replace(&quoted[1..quoted.len() - 1], BLANK).replace(secret, BLANK);
        }
        for line in said.lines() {
            warn!("--credential-command {}: {line:?}", self.program);
        }
    }
}
