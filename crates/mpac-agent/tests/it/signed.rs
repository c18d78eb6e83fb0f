//! An agent in a verified session: what it signs, whom it believes, and what becomes of its key.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mpac_agent::agent::{Agent, Announce, ConnectOptions, Edit, Event, Leaving};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::connection::{Identity, Route, Target, Voice, connect};
use mpac_agent::error::AgentError;
use mpac_agent::history;
use mpac_agent::key_file::KeyFile;
use mpac_agent::naming::Naming;
use mpac_agent::security::Security;
use mpac_agent::session::Session;
use mpac_agent::signing::{Signing, verify};
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use mpac_core::Signed;
use mpac_wire::payload::session::Hello;
use mpac_wire::{Fingerprint, MessageType, PrincipalId, PublicKey, SessionId};
use serde_json::Value;

use crate::covers;
use crate::fake_coordinator::{Lines, script};
use crate::sealed_host::SealedHost;

/// A directory of this test's own, with an agent's key and certificate in it.
pub(crate) struct Desk {
    dir: PathBuf,
    pub(crate) public: PublicKey,
}

impl Desk {
    pub(crate) fn new(test: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("signed-{test}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        std::fs::write(dir.join("bob.key.pem"), pair.serialize_pem()).unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI("agent:Bob".try_into().unwrap())];
        let certificate = params.self_signed(&pair).unwrap();
        std::fs::write(dir.join("bob.pem"), certificate.pem()).unwrap();
        let public = KeyFile::open(&dir.join("bob.key.pem")).unwrap().current().public().clone();
        Self { dir, public }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn security(&self) -> Security {
        Security {
            key: Some(self.file("bob.key.pem")),
            chain: Some(self.file("bob.pem")),
            known_coordinators: Some(self.file("known")),
            record: Some(self.file("record.jsonl")),
            ..Security::default()
        }
    }

    fn keys(&self) -> Vec<PublicKey> {
        let file = KeyFile::open(&self.file("bob.key.pem")).unwrap();
        file.all().map(|key| key.public().clone()).collect()
    }
}

/// An agent that has connected and joined, or why it has not.
async fn joined(
    url: &str,
    security: &Security,
    lines: &Lines,
) -> Result<(Session, history::History), AgentError> {
    let target = Target::new(url, Vec::new()).unwrap();
    let mut equipment = security.open(vec![target.host_and_port()])?;
    let me = PrincipalId::new("agent:Bob").unwrap();
    let (recorder, history) = history::channel();
    let mut hello = Hello::new("Bob".to_owned(), Vec::new());
    hello.credential = equipment.chain.as_ref().map(mpac_agent::chain::Chain::credential);
    let recorder = recorder.with_witness(equipment.witness.take());
    let voice = Voice::new(Identity { principal: me.clone(), session: SessionId::new("s").unwrap() })
        .equipped(&mut equipment);
    let route = Route::once(target).with_patience(Duration::from_secs(60));
    let connection = connect(route, voice, recorder).await?;
    let mut session = Session::new(me, connection, lines.console());
    session.join(hello.into()).await?;
    Ok((session, history))
}

/// A whole task of a joined agent.
async fn work(session: &mut Session, history: history::History, text: &str) -> Result<Outcome, AgentError> {
    let mut brain = ScriptedBrain::parse("test".to_owned(), text, history)?;
    let options = TaskOptions::default();
    run_task(session, &mut brain, &mut Naming::new("Bob"), &options, "mend").await
}

/// Lets things arrive until it was told.
async fn told(session: &mut Session, lines: &Lines, part: &str) {
    session.meanwhile(lines.wait_for(part)).await.unwrap();
}

#[tokio::test]
async fn a_task_is_done_where_everything_is_signed() {
    covers!("SEC-23", "SEC-27", "PAR-21");
    let desk = Desk::new("task");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let lines = Lines::default();
    let (mut session, history) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    let key = host.now().signing.public().fingerprint();
    told(&mut session, &lines, &format!("the coordinator signs with {key}, which nobody has told before"))
        .await;
    let outcome = work(&mut session, history, &script("")).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "{}", lines.text());
    session.leave("completed".into()).await;
    {
        let state = host.now();
        assert_eq!(state.file(), "new");
        assert!(state.heard.len() > 4);
        for (envelope, signed) in &state.heard {
            assert!(
                matches!(signed, Signed::Good { key, .. } if *key == desk.public.fingerprint()),
                "{envelope:?}"
            );
        }
    }
    // The next time it is known, and nobody has to compare anything.
    let lines = Lines::default();
    let (mut session, _) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    told(&mut session, &lines, "by the key it is known by").await;
    assert!(!lines.text().contains("compare"), "{}", lines.text());
    session.leave("completed".into()).await;
}

#[tokio::test]
async fn an_agent_as_a_value_signs_as_well_and_says_whom_it_believes() {
    covers!("SEC-23", "SEC-30");
    let desk = Desk::new("value");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let mut options = ConnectOptions::new(&host.url, "Bob");
    options.session = Some("s".to_owned());
    options.security = desk.security();
    let (agent, mut events) = Agent::connect(options).await.unwrap();
    let key = host.now().signing.public().fingerprint().to_string();
    let told = events.find(|event| match event {
        Event::Trust { description, .. } => Some(description),
        _ => None,
    });
    assert!(told.await.unwrap().contains(&key));
    let intent = agent.announce(Announce::files("mend it", ["a.py"])).await.unwrap().intent;
    let base = agent.read_file("a.py").await.unwrap().unwrap();
    agent.commit(Some(&intent), Edit::of("a.py", &base, "new")).await.unwrap();
    agent.withdraw(&intent, None).await.unwrap();
    agent.leave(Leaving::default()).await.unwrap();
    let state = host.now();
    assert_eq!(state.file(), "new");
    assert!(state.heard.len() > 4);
    assert!(state.heard.iter().all(|(_, signed)| matches!(signed, Signed::Good { .. })), "{:?}", state.heard);
}

#[tokio::test]
async fn whoever_has_another_key_than_the_coordinator_is_not_joined() {
    covers!("SEC-27", "SEC-30");
    let desk = Desk::new("other");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let address = host.url.strip_prefix("ws://").unwrap().to_owned();
    let other = Fingerprint::of(b"another");
    let own = host.now().signing.public().fingerprint();
    std::fs::write(desk.file("known"), format!("{address} {other}\n")).unwrap();
    for given in [None, Some(other)] {
        let security = Security { coordinator_key: given, ..desk.security() };
        let error = joined(&host.url, &security, &Lines::default()).await.err().unwrap().to_string();
        assert!(error.contains("--coordinator-key") && error.contains(&own.to_string()), "{error}");
    }
    let said: Vec<MessageType> = host.now().heard.iter().map(|(it, _)| it.message_type.clone()).collect();
    assert_eq!(said, [MessageType::Hello, MessageType::Hello], "it says nothing to a stranger");
    // Somebody has asked, and it is right: from then on this one is known.
    let security = Security { coordinator_key: Some(own), ..desk.security() };
    let (session, _) = joined(&host.url, &security, &Lines::default()).await.unwrap();
    session.leave("completed".into()).await;
    assert_eq!(std::fs::read_to_string(desk.file("known")).unwrap(), format!("{address} {own}\n"));
}

#[tokio::test]
async fn what_the_coordinator_has_not_signed_changes_nothing_and_is_told() {
    covers!("SEC-27");
    let desk = Desk::new("forged");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let lines = Lines::default();
    let (mut session, history) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    told(&mut session, &lines, "joined session").await;
    // Everything right but the key.
    let stranger = Signing::generate().unwrap();
    let info: Value = serde_json::from_str(&host.now().sent[0].clone()).unwrap();
    let mut close = info.clone();
    close["message_type"] = "SESSION_CLOSE".into();
    close["message_id"] = "forged".into();
    close["payload"] = serde_json::json!({"reason": "manual", "final_lamport_clock": 9});
    close.as_object_mut().unwrap().remove("signature");
    let mut forged: mpac_wire::Envelope = serde_json::from_str(&close.to_string()).unwrap();
    stranger.sign(&mut forged).unwrap();
    host.inject(&forged.to_json());
    told(&mut session, &lines, "dropped: SESSION_CLOSE from service:coordinator-s").await;
    host.inject(&close.to_string());
    let outcome = work(&mut session, history, &script("")).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "the session goes on: {}", lines.text());
    session.leave("completed".into()).await;
}

#[tokio::test]
async fn a_new_key_counts_once_the_coordinator_says_so_and_after_a_break() {
    covers!("SEC-32");
    let desk = Desk::new("rotated");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let lines = Lines::default();
    let (mut session, history) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    let new = session.rotate_key().await.unwrap();
    told(&mut session, &lines, &format!("your key is {new} now")).await;
    assert_eq!(desk.keys()[0].fingerprint(), new, "the file says so");
    host.break_off();
    told(&mut session, &lines, "back after").await;
    let outcome = work(&mut session, history, &script("")).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "{}", lines.text());
    session.leave("completed".into()).await;
    let by = |signed: &Signed| match signed {
        Signed::Good { key, .. } => *key,
        other => panic!("{other:?}"),
    };
    {
        let state = host.now();
        let hellos = state.heard.iter().filter(|(it, _)| it.message_type == MessageType::Hello);
        let keys: Vec<Fingerprint> = hellos.map(|(_, signed)| by(signed)).collect();
        assert_eq!(keys, [desk.public.fingerprint(), new]);
        let commit = state.heard.iter().find(|(it, _)| it.message_type == MessageType::OpCommit).unwrap();
        assert_eq!(by(&commit.1), new);
    }
    // The certificate is still of the first key; the process after this one signs with the new one all the same.
    let (session, _) = joined(&host.url, &desk.security(), &Lines::default()).await.unwrap();
    session.leave("completed".into()).await;
    assert_eq!(by(&host.now().heard.last().unwrap().1), new);
}

#[tokio::test]
async fn a_rotation_whose_answer_a_break_swallowed_is_found_out_by_the_same_process() {
    covers!("SEC-31", "SEC-32");
    let desk = Desk::new("swallowed");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let lines = Lines::default();
    let (mut session, history) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    host.now().breaks_at = Some("key_rotation");
    let new = session.rotate_key().await.unwrap();
    told(&mut session, &lines, "back after").await;
    told(&mut session, &lines, &format!("your key is {new} now")).await;
    assert_eq!(desk.keys()[0].fingerprint(), new);
    work(&mut session, history, &script("")).await.unwrap();
    session.rotate_key().await.expect("nothing is in the way of the next one");
    session.leave("completed".into()).await;
    let state = host.now();
    let commit = state.heard.iter().find(|(it, _)| it.message_type == MessageType::OpCommit).unwrap();
    assert!(matches!(&commit.1, Signed::Good { key, .. } if *key == new), "{:?}", commit.1);
}

#[tokio::test]
async fn a_rotation_of_unknown_fate_is_found_out() {
    covers!("SEC-32");
    let desk = Desk::new("unknown");
    let new = KeyFile::open(&desk.file("bob.key.pem")).unwrap().prepare().unwrap();
    assert_eq!(desk.keys(), [desk.public.clone(), new.clone()]);
    // It had happened, and the answer never came.
    let host = SealedHost::start(&[("agent:Bob", &new)]).await;
    let (session, _) = joined(&host.url, &desk.security(), &Lines::default()).await.unwrap();
    session.leave("completed".into()).await;
    assert_eq!(desk.keys(), [new, desk.public.clone()]);
    // Neither counts: the reason is told, and the file stays.
    let stranger = Signing::generate().unwrap();
    let host = SealedHost::start(&[("agent:Bob", stranger.public())]).await;
    let error = joined(&host.url, &desk.security(), &Lines::default()).await.err().unwrap().to_string();
    assert!(error.contains("HELLO") && error.contains("AUTHORIZATION_FAILED"), "{error}");
    assert_eq!(host.now().heard.len(), 2);
    assert_eq!(desk.keys()[1], desk.public);
}

#[test]
fn the_key_of_the_certificate_outlives_every_rotation() {
    covers!("SEC-12", "SEC-32");
    let desk = Desk::new("certified");
    // A rotation that came to nothing leaves its key behind it.
    KeyFile::open(&desk.file("bob.key.pem")).unwrap().prepare().unwrap();
    let mut keys = desk.security().open(vec![]).unwrap().keys.unwrap();
    for _ in 0..6 {
        let next = keys.prepare().unwrap().fingerprint();
        keys.switch(&next).unwrap();
    }
    assert!(desk.keys().contains(&desk.public));
    assert!(desk.security().open(vec![]).unwrap().certificate().is_some(), "TLS still has what to show");
}

#[tokio::test]
async fn a_record_has_every_frame_as_it_was() {
    let desk = Desk::new("record");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let (mut session, history) = joined(&host.url, &desk.security(), &Lines::default()).await.unwrap();
    work(&mut session, history, &script("")).await.unwrap();
    session.leave("completed".into()).await;
    host.heard(&MessageType::Goodbye).await;
    let lines = record(&desk.file("record.jsonl"));
    let frames = |direction: &str| -> Vec<String> {
        let lines = lines.iter().filter(|line| line.direction == direction);
        lines.map(|line| line.frame.get().to_owned()).collect()
    };
    let state = host.now();
    assert_eq!(frames("received"), state.sent[..frames("received").len()]);
    let key = state.signing.public();
    let mut verified = 0;
    for frame in frames("received") {
        let value: Value = serde_json::from_str(&frame).unwrap();
        if value["sender"]["principal_id"] == "service:coordinator-s" {
            let signed = verify(&frame, value["signature"].as_str(), Some(key));
            assert!(matches!(signed, Signed::Good { .. }), "{frame}");
            verified += 1;
        }
    }
    assert!(verified >= 2);
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let sent = frames("sent").into_iter().filter(|frame| frame.contains("message_type"));
    let sent: Vec<Value> = sent.map(|frame| value(&frame)).collect();
    let heard: Vec<Value> = state.heard.iter().map(|(envelope, _)| value(&envelope.to_json())).collect();
    assert_eq!(sent, heard);
    assert!(frames("sent")[0].contains("BEGIN CERTIFICATE"), "what shows whose signatures these are stays");
}

/// A line of a record, its frame as it is spelled.
#[derive(serde::Deserialize)]
struct Line {
    direction: String,
    frame: Box<serde_json::value::RawValue>,
}

fn record(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_open_session_takes_no_other_key_and_an_agent_without_one_has_none() {
    let desk = Desk::new("open");
    let lines = Lines::default();
    let (mut session, _history, mut peer) = crate::fake_coordinator::connected("agent:Bob", &lines).await;
    let join = tokio::spawn(async move {
        session.join(crate::fake_coordinator::hello()).await.unwrap();
        session.rotate_key().await.unwrap_err().to_string()
    });
    let hello = peer.take("HELLO").await;
    assert_eq!(hello.get("signature"), None, "the Python servers know no such member (ENV-09)");
    peer.welcome().await;
    assert!(join.await.unwrap().contains("open session"));
    let mistaken = Security { key: None, ..desk.security() };
    assert!(mistaken.open(vec![]).unwrap_err().to_string().contains("--key"));
    let secret = Security { chain: Some(desk.file("bob.key.pem")), ..desk.security() };
    assert!(secret.open(vec![]).unwrap_err().to_string().contains("nothing else"));
}

#[tokio::test]
async fn a_coordinator_that_contradicts_itself_is_told_of_and_reported() {
    covers!("SEC-28");
    let desk = Desk::new("contradiction");
    let host = SealedHost::start(&[("agent:Bob", &desk.public)]).await;
    let lines = Lines::default();
    let (mut session, history) = joined(&host.url, &desk.security(), &lines).await.unwrap();
    work(&mut session, history, &script("")).await.unwrap();
    let error = {
        let state = host.now();
        let commit = state.heard.iter().find(|(it, _)| it.message_type == MessageType::OpCommit).unwrap();
        let mut error: Value = serde_json::from_str(&state.sent[0]).unwrap();
        error["message_type"] = "PROTOCOL_ERROR".into();
        error["message_id"] = "second-thoughts".into();
        error["payload"] = serde_json::json!({"error_code": "STALE_STATE_REF", "description": "no, it was not",
            "refers_to": commit.0.message_id.as_str()});
        error.as_object_mut().unwrap().remove("signature");
        let mut error: mpac_wire::Envelope = serde_json::from_str(&error.to_string()).unwrap();
        state.signing.sign(&mut error).unwrap();
        error.to_json()
    };
    host.inject(&error);
    told(&mut session, &lines, "the coordinator contradicts itself").await;
    session.meanwhile(host.heard(&MessageType::ConflictReport)).await.unwrap();
    session.leave("completed".into()).await;
    let state = host.now();
    let report = state.heard.iter().find(|(it, _)| it.message_type == MessageType::ConflictReport).unwrap();
    assert!(report.0.to_json().contains("authority_conflict"));
    // Whom it concerns is told: it was taken.
    assert!(state.sent.iter().any(|frame| *frame == report.0.to_json()));
}
