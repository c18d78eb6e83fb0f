//! A server's whole life with secrets in every place where somebody could put one: afterwards they are nowhere but where they
//! belong.
#![cfg(unix)]

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

use crate::covers;
use crate::program_rig::run;
use crate::rig::{Client, patiently};
use crate::secured::secret;

/// In every planted credential, and nowhere else.
const SECRET: &str = "PLANTED7SECRET";
/// In every content of a file.
const CONTENT: &str = "PLANTED9CONTENT";
/// What somebody wrote for others to read.
const WORDS: &str = "PLANTED3WORDS";

/// A server, what it shares and keeps, and everything it and the commands about it print.
struct Life {
    dir: TempDir,
    printed: Vec<(String, Vec<u8>)>,
    /// The key that the server made for Bob.
    key: String,
}

impl Life {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> String {
        format!("--data-dir={}", self.path("data").display())
    }

    /// A command to its end; what it prints is kept.
    fn command(&mut self, words: &[&str]) -> String {
        let data = self.data();
        let output = run(&[words, &[&data]].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        self.printed.push((words.join(" "), [output.stdout, output.stderr].concat()));
        text
    }

    /// A server that tells all it knows.
    fn serve(&self, n: usize) -> Serving {
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| self.path(&format!("{name}-{n}")));
        let child = Command::new(env!("CARGO_BIN_EXE_mpac-ws"))
            .args(["--port=0", "--security-profile=authenticated", "--log=trace", "--write-back"])
            .arg(self.data())
            .arg(format!("--workspace={}", self.path("shop").display()))
            .arg(format!("--credential-command={}", self.path("judge").display()))
            .arg("--credential-attempts=1000")
            .arg("--audit-retention-days=30")
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Serving { child, stdout }
    }

    /// Every file below `name`, and what is in it.
    fn files(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut dirs = vec![self.path(name)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                match entry.file_type().unwrap().is_dir() {
                    true => dirs.push(path),
                    false => found.push((path.display().to_string(), fs::read(path).unwrap())),
                }
            }
        }
        found
    }
}

struct Serving {
    child: Child,
    stdout: PathBuf,
}

impl Serving {
    async fn address(&self) -> SocketAddr {
        patiently(async {
            loop {
                let banner = fs::read_to_string(&self.stdout).unwrap();
                if let Some(url) = banner.lines().find_map(|line| line.split_once("listening on ws://")) {
                    return url.1.trim().parse().unwrap();
                }
                // It writes into a file, which wakes nobody.
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    fn stop(mut self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success() && self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // After a stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A shop with one file, a judge who takes only one word, and a key for Bob.
fn begun() -> Life {
    let dir = tempfile::tempdir().unwrap();
    let mut life = Life { dir, printed: Vec::new(), key: String::new() };
    fs::create_dir(life.path("shop")).unwrap();
    fs::write(life.path("shop/cart.py"), format!("{CONTENT} 0\n")).unwrap();
    let judge = "#!/bin/sh\nread line\necho \"cannot judge $line\" >&2\necho '{\"accept\":false}'\n";
    fs::write(life.path("judge"), judge).unwrap();
    fs::set_permissions(life.path("judge"), fs::Permissions::from_mode(0o755)).unwrap();
    life.key = secret(&life.command(&["token", "add", "bob"]));
    // The one thing that a key is shown for; everything else that is printed is looked through.
    life.printed.clear();
    life
}

/// Every credential that is no good, well and badly formed.
fn bad_credentials() -> Vec<Value> {
    let mut all = Vec::new();
    for kind in ["api_key", "bearer_token", "mtls_fingerprint", "x509_chain", "custom", "no_such_type"] {
        all.push(json!({"type": kind, "value": format!("mpac_aaaaaaaaaaaa_{SECRET}")}));
        all.push(json!({"type": kind, "value": SECRET, "issuer": "x", "expires_at": "2020-01-01T00:00:00Z"}));
    }
    let token = format!("eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}");
    all.push(json!({"type": "bearer_token", "value": token}));
    all.push(json!({"type": "api_key", "value": {"nested": SECRET}}));
    all.push(json!({"type": "api_key", "value": [SECRET]}));
    all.push(json!({"type": "api_key", "password": SECRET}));
    all.push(json!({"type": {"x": SECRET}, "value": SECRET}));
    all.push(json!(SECRET));
    all.push(json!([SECRET]));
    all
}

/// Frames that are no messages and have a secret in them all the same.
fn bad_frames(hello: &str) -> Vec<Message> {
    let text = |text: &str| Message::Text(text.to_owned().into());
    vec![
        text(&hello[..hello.len() - 3]),
        text(&hello.replace("\"HELLO\"", "\"HELLO\",\"message_type\":7")),
        text(&hello.replace("credential", "cr\\u0065dential")),
        text(&hello.replace("\"MPAC\"", "\"OTHER\"")),
        text(&hello.replace("\"version\"", "\"vers\"")),
        text(&format!("[{hello}]")),
        text(&format!("{{\"type\":\"FILE_READ\",\"path\":7,\"credential\":{{\"value\":\"{SECRET}\"}}}}")),
        text(&format!("{}{hello}{}", "[".repeat(200), "]".repeat(200))),
        Message::Binary(hello.to_owned().into_bytes().into()),
        Message::Binary([hello.as_bytes(), &[0xff]].concat().into()),
    ]
}

async fn client(address: SocketAddr) -> Client {
    patiently(Client::connect(address, "/", None)).await.counts_anew()
}

/// Strangers with secrets of every kind.
async fn guesses(address: SocketAddr) {
    for credential in bad_credentials() {
        let mut eve = client(address).await;
        let answer = eve.hello_with("agent:bob", credential).await;
        assert_eq!(answer["message_type"], "PROTOCOL_ERROR", "{answer}");
        assert!(!answer.to_string().contains(SECRET), "{answer}");
    }
    let mut eve = client(address).await;
    eve.who = "agent:eve".to_owned();
    let mut hello = eve.envelope("HELLO", json!({"display_name": "e", "roles": [], "capabilities": []}));
    hello["payload"]["credential"] = json!({"type": "api_key", "value": SECRET});
    for frame in bad_frames(&hello.to_string()) {
        let mut eve = client(address).await;
        eve.frame(frame).await;
        let answer = eve.next().await;
        assert!(!answer.to_string().contains(SECRET), "{answer}");
    }
}

/// Bob changes a file twice, and writes what cannot be stored.
async fn work(address: SocketAddr, key: &str, state: &str) {
    let mut bob = client(address).await;
    let info = bob.hello_with("agent:bob", json!({"type": "api_key", "value": key})).await;
    assert_eq!(info["message_type"], "SESSION_INFO", "{info}");
    let scope = json!({"kind": "file_set", "resources": ["cart.py"]});
    let announce = json!({"intent_id": format!("i-{state}"), "objective": WORDS, "scope": scope});
    bob.say("INTENT_ANNOUNCE", announce).await;
    bob.until("INTENT_ANNOUNCE").await;
    bob.send(json!({"type": "FILE_READ", "path": "cart.py"}).to_string()).await;
    let before = bob.until("FILE_CONTENT").await["content"].as_str().unwrap().to_owned();
    assert!(before.contains(CONTENT));
    let after = format!("{CONTENT} {state}\n");
    for (op, based_on, answer) in
        [("good", before.as_str(), "FILE_UPDATED"), ("stale", "x", "PROTOCOL_ERROR")]
    {
        let (before, after_ref) = (StateRef::of(based_on), StateRef::of(&after));
        let commit = json!({
            "op_id": format!("{op}-{state}"), "intent_id": format!("i-{state}"), "target": "cart.py",
            "op_kind": "replace", "state_ref_before": before.as_str(), "state_ref_after": after_ref.as_str(),
            "summary": WORDS,
            "file_changes": {"cart.py": {"content": after, "state_ref_before": before.as_str()}},
        });
        bob.say("OP_COMMIT", commit).await;
        bob.until(answer).await;
    }
    for content in [json!({"x": CONTENT}), json!([CONTENT]), json!(7)] {
        let commit =
            json!({"op_id": "bad", "target": "cart.py", "file_changes": {"cart.py": {"content": content}}});
        bob.say("OP_COMMIT", commit).await;
        bob.until("PROTOCOL_ERROR").await;
    }
    bob.hang_up().await;
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_in_no_log_no_file_and_no_answer() {
    covers!("PRV-02", "PRV-03", "PRV-05", "SEC-37", "D-135");
    let mut life = begun();
    let serving = life.serve(1);
    let address = serving.address().await;
    guesses(address).await;
    work(address, &life.key, "1").await;
    life.command(&["status"]);
    life.command(&["token", "list"]);
    let copy = format!("--to={}", life.path("copy").display());
    life.command(&["backup", &copy]);
    serving.stop();
    // Taken up again, by way of the log.
    let serving = life.serve(2);
    work(serving.address().await, &life.key, "2").await;
    serving.stop();
    for words in [
        &["audit", "verify"] as &[&str],
        &["audit", "show", "--all"],
        &["audit", "show", "--all", "--outputs"],
        &["audit", "show", "--json"],
        &["audit", "show", "--json", "--outputs"],
        &["audit", "export", "--redact"],
        &["audit", "replay"],
        &["repair"],
    ] {
        assert_ne!(life.command(words), "", "{words:?}");
    }
    life.command(&["audit", "show", "--op", "no-such"]);
    life.command(&["audit", "export"]);

    let key = life.key.rsplit('_').next().unwrap().to_owned();
    let logs = ["stdout-1", "stderr-1", "stdout-2", "stderr-2"];
    let logs: Vec<_> =
        logs.iter().map(|name| ((*name).to_owned(), fs::read(life.path(name)).unwrap())).collect();
    assert!(logs[1].1.len() > 2_000 && holds(&logs[1].1, WORDS), "it was as talkative as it can be");
    let kept: Vec<_> = ["data", "copy", "shop"].iter().flat_map(|name| life.files(name)).collect();
    for (name, bytes) in life.printed.iter().chain(&logs).chain(&kept) {
        let text = String::from_utf8_lossy(bytes);
        let leaks: Vec<&str> = text.lines().filter(|line| line.contains(SECRET)).collect();
        assert!(leaks.is_empty(), "a credential in {name}: {leaks:#?}");
        assert!(!holds(bytes, &key), "Bob's key in {name}");
    }
    // Contents are in the log and the directory, where they belong; who looks at a log without asking for them sees none.
    for (name, bytes) in life.printed.iter().filter(|(name, _)| name != "audit export").chain(&logs) {
        assert!(!holds(bytes, CONTENT), "a file's content in {name}");
    }
    let redacted = life.printed.iter().find(|(name, _)| name == "audit export --redact").unwrap();
    assert!(!holds(&redacted.1, WORDS), "somebody's words in an export without them");
    // That what was looked for could be found.
    assert!(kept.iter().any(|(_, bytes)| holds(bytes, CONTENT)), "the log has what was committed");
    let export = life.printed.iter().find(|(name, _)| name == "audit export").unwrap();
    assert!(holds(&export.1, WORDS), "an export has it all");
    assert!(Path::new(&life.path("copy")).exists());
}
