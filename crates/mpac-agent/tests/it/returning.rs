//! Coming back after a break, or not: who is believed, who is not tried again, what the person is told.

use std::time::Duration;

use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::connection::{Identity, Route, Target, Voice, connect};
use mpac_agent::error::AgentError;
use mpac_agent::history;
use mpac_agent::naming::Naming;
use mpac_agent::session::Session;
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use mpac_wire::{PrincipalId, SessionId};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fake_coordinator::{COORDINATOR, Lines, Peer, hello, info, opened, report, script};
use crate::hands::Hands;

const PATIENCE: Duration = Duration::from_secs(60);
/// Far below the limit for waiting for others.
const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// An agent that joins the first of these addresses, does the task and leaves.
pub(crate) fn at_work(
    urls: &[&str],
    patience: Duration,
    lines: &Lines,
) -> JoinHandle<Result<Outcome, AgentError>> {
    at_work_on(urls, patience, lines, script(""))
}

fn at_work_on(
    urls: &[&str],
    patience: Duration,
    lines: &Lines,
    script: String,
) -> JoinHandle<Result<Outcome, AgentError>> {
    let mut targets = urls.iter().map(|url| Target::new(url, Vec::new()).unwrap());
    let route = Route::once(targets.next().unwrap()).or(targets.collect()).with_patience(patience);
    let lines = lines.clone();
    tokio::spawn(async move {
        let me = PrincipalId::new("agent:Bob").unwrap();
        let (recorder, history) = history::channel();
        let voice = Voice::new(Identity { principal: me.clone(), session: SessionId::new("s").unwrap() });
        let mut session = Session::new(me, connect(route, voice, recorder).await?, lines.console());
        session.join(hello()).await?;
        let mut brain = ScriptedBrain::parse("test".to_owned(), &script, history)?;
        let options = TaskOptions::default();
        let outcome = run_task(&mut session, &mut brain, &mut Naming::new("Bob"), &options, "mend").await;
        session.leave("completed".into()).await;
        outcome
    })
}

/// These hands at a task, with no limit of their own on a break, and the other end after SESSION_INFO.
pub(crate) async fn begun(
    (listener, url): (&TcpListener, &str),
    lines: &Lines,
    mut hands: Hands,
) -> (Peer, JoinHandle<Result<Outcome, AgentError>>) {
    let opening = opened("agent:Bob", url, PATIENCE, lines);
    let ((mut session, _), mut peer) = tokio::join!(opening, Peer::accept(listener));
    let work = tokio::spawn(async move {
        session.join(hello()).await?;
        let mut naming = Naming::new("Bob");
        run_task(&mut session, &mut hands, &mut naming, &TaskOptions::default(), "mend").await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    (peer, work)
}

/// As the coordinator of this epoch.
pub(crate) async fn welcome(peer: &mut Peer, epoch: u64, more: Value) {
    let mut welcome = peer.message(COORDINATOR, "SESSION_INFO", info(more));
    welcome["coordinator_epoch"] = json!(epoch);
    peer.send(&welcome).await;
}

/// A joined agent whose FILE_LIST has not been answered.
async fn joined(listener: &TcpListener, epoch: u64) -> Peer {
    let mut peer = Peer::accept(listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, epoch, json!({})).await;
    peer.take("FILE_LIST").await;
    peer
}

/// What an agent that comes back asks first, when it has no intent.
pub(crate) async fn look_around(peer: &mut Peer) {
    peer.take("PROTOCOL_ERROR").await;
    peer.answer_list(&["a.py"]).await;
}

#[tokio::test]
async fn who_comes_back_is_the_same_incarnation_with_its_counter_going_on() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let work = at_work(&[&url], PATIENCE, &lines);
    let peer = joined(&listener, 1).await;
    let first = peer.said[0].clone();
    peer.close(1012, "").await;
    let mut peer = Peer::accept(&listener).await;
    let again = peer.take("HELLO").await;
    assert_eq!(again["sender"], first["sender"]);
    assert_eq!(again["payload"], first["payload"]);
    assert!(again["watermark"]["value"].as_u64() > first["watermark"]["value"].as_u64());
    welcome(&mut peer, 2, json!({})).await;
    look_around(&mut peer).await;
    // The list that was asked for is asked for again, and the task goes on.
    peer.serve_task(true).await;
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)));
    let told = lines.text();
    assert!(
        told.contains("connection lost: close code 1012 (the server restarts); trying again for 60 s"),
        "{told}"
    );
    assert!(told.contains("; the coordinator was restarted or replaced (epoch 2)"), "{told}");
}

#[tokio::test]
async fn who_looks_for_it_for_ever_comes_back_as_well() {
    let (listener, url) = listener().await;
    let work = at_work(&[&url], Duration::MAX, &Lines::default());
    joined(&listener, 1).await.close(1012, "").await;
    let mut peer = tokio::time::timeout(SOON, Peer::accept(&listener)).await.expect("nobody comes back");
    peer.take("HELLO").await;
    welcome(&mut peer, 1, json!({})).await;
    look_around(&mut peer).await;
    peer.serve_task(true).await;
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)));
}

#[tokio::test]
async fn who_is_turned_down_does_not_try_again() {
    for (code, named) in [(1008, "turns us down"), (4004, "names no session"), (4001, "has taken our place")]
    {
        let (listener, url) = listener().await;
        let work = at_work(&[&url], PATIENCE, &Lines::default());
        joined(&listener, 1).await.close(code, "so it is").await;
        let error = work.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("so it is"), "{error}");
    }
}

#[tokio::test]
async fn a_hello_that_is_refused_after_a_break_is_the_end() {
    let (listener, url) = listener().await;
    let work = at_work(&[&url], PATIENCE, &Lines::default());
    drop(joined(&listener, 1).await);
    let mut peer = Peer::accept(&listener).await;
    let hello = peer.take("HELLO").await;
    peer.refuse(&hello, "CREDENTIAL_REJECTED", "it has expired").await;
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection to the coordinator ended (the coordinator does not let us in again: CREDENTIAL_REJECTED: it has expired); ask whoever runs the coordinator for another credential, and start the agent again with that"
    );
}

#[tokio::test]
async fn a_coordinator_that_stays_away_is_given_up() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let work = at_work(&[&url], Duration::from_millis(300), &lines);
    let peer = joined(&listener, 1).await;
    drop(listener);
    drop(peer);
    let error = work.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("nobody listens at") && error.contains("given up after"), "{error}");
    assert!(lines.text().contains("attempt 2 in"), "{}", lines.text());
}

#[tokio::test]
async fn a_standby_at_another_address_is_found_and_the_old_coordinator_not_believed() {
    let ((old, first), (standby, second)) = (listener().await, listener().await);
    let lines = Lines::default();
    let work = at_work(&[&first, &second], PATIENCE, &lines);
    joined(&old, 4).await.close(4002, "").await;
    // It should be gone, and answers all the same: of an epoch that is over.
    let mut stale = Peer::accept(&old).await;
    stale.take("HELLO").await;
    welcome(&mut stale, 3, json!({})).await;
    let mut peer = Peer::accept(&standby).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 5, json!({})).await;
    look_around(&mut peer).await;
    peer.serve_task(true).await;
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)));
    let told = lines.text();
    assert!(told.contains("of epoch 3 and this session was at 4 already"), "{told}");
    assert!(told.contains(&format!("back at {second}/ after")), "{told}");
}

#[tokio::test]
async fn a_way_that_is_cut_without_a_word_is_noticed_and_left() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let work = at_work(&[&url], PATIENCE, &lines);
    let mut dead = Peer::accept(&listener).await;
    dead.take("HELLO").await;
    welcome(&mut dead, 1, json!({"liveness_policy": {"heartbeat_interval_sec": 0.3}})).await;
    let status = json!({"event": "heartbeat", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    dead.say("COORDINATOR_STATUS", status).await;
    // From here on nobody reads that socket, and it stays open.
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 2, json!({})).await;
    look_around(&mut peer).await;
    peer.serve_task(true).await;
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)));
    assert!(lines.text().contains("no answer to a ping"), "{}", lines.text());
    drop(dead);
}

#[tokio::test]
async fn what_a_recovery_has_lost_is_told_and_not_named_again() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let work = at_work(&[&url], PATIENCE, &lines);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    let commit = peer.accept_commit("new").await;
    assert_eq!(peer.take("INTENT_WITHDRAW").await["payload"]["intent_id"], intent);
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    let again = peer.take("HELLO").await;
    let op = &commit["payload"]["op_id"];
    assert_eq!(again["payload"]["extensions"], json!({"mpac": {"committed_ops": [op]}}));
    welcome(&mut peer, 2, json!({})).await;
    let mut diverged = peer.message(
        COORDINATOR,
        "PROTOCOL_ERROR",
        json!({"error_code": "STATE_DIVERGENCE", "description": "d", "refers_to": again["message_id"],
            "extensions": {"mpac": {"divergent": [op]}}}),
    );
    diverged["coordinator_epoch"] = json!(2);
    peer.send(&diverged).await;
    lines.wait_for("without what it had acknowledged").await;
    let mut kinds = Vec::new();
    while let Some(frame) = peer.next().await {
        if frame["type"] == "FILE_LIST" {
            peer.send(&json!({"type": "FILE_LIST_RESPONSE", "files": []})).await;
        }
        if frame["message_type"] == "HELLO" {
            assert_eq!(frame["payload"].get("extensions"), None, "{frame}");
            welcome(&mut peer, 2, json!({})).await;
        }
        kinds.push(frame["message_type"].as_str().unwrap_or_default().to_owned());
    }
    assert!(kinds.iter().any(|kind| kind == "HELLO"), "{kinds:?}");
    let error = work.await.unwrap().unwrap_err();
    assert!(matches!(&error, AgentError::Diverged(lost) if [op.as_str().unwrap()] == lost[..]), "{error}");
    assert!(!lines.text().contains("done:"), "{}", lines.text());
}

/// How the session stands, with this intent of Alice's.
pub(crate) fn summary(live: &[&str]) -> Value {
    let intents: Vec<Value> = live
        .iter()
        .map(|id| {
            json!({"intent_id": id, "principal_id": "agent:Alice", "objective": "hers", "state": "ACTIVE",
                "scope": {"kind": "file_set", "resources": ["a.py"]}, "claimed_by": null})
        })
        .collect();
    let session = json!({"session_id": "s", "workspace_dir": null, "participant_count": 2,
        "active_intent_count": live.len(), "open_conflict_count": 0, "participants": [], "active_intents": intents,
        "open_conflicts": []});
    json!({"type": "SESSION_SUMMARY_RESPONSE", "session": session})
}

#[tokio::test]
async fn the_end_that_was_waited_for_may_have_come_while_nobody_listened() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let yields = script(r#","on_conflict":"yield""#);
    let work = at_work_on(&[&url], PATIENCE, &lines, yields);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    let reports = |ours: &str| vec![report("c", ours, "i-alice", "agent:Alice")];
    let intent = peer.accept_announce(reports).await;
    assert_eq!(peer.accept_withdraw(&intent).await, "yielded");
    lines.wait_for("watching whether they go on").await;
    // Alice is still at work after the first break, and not after the second.
    for live in [&["i-alice"][..], &[]] {
        drop(peer);
        peer = Peer::accept(&listener).await;
        peer.take("HELLO").await;
        welcome(&mut peer, 1, json!({})).await;
        peer.take("PROTOCOL_ERROR").await;
        peer.send(&summary(live)).await;
        peer.answer_list(&["a.py"]).await;
    }
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    peer.accept_withdraw(&intent).await;
    peer.take("GOODBYE").await;
    assert!(peer.next().await.is_none());
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)), "{}", lines.text());
}

/// A break while the brain decides costs the intent, and Carol holds its file then. She is done before anybody waits for her:
/// while the brain decides, or while it writes.
#[tokio::test]
async fn whose_end_came_before_the_wait_is_not_waited_for() {
    for deciding in [true, false] {
        let (listener, url) = listener().await;
        let lines = Lines::default();
        let mut hands = Hands::on(&["a.py"]);
        hands.after = [("a.py", "the end of Carol's")].into();
        let (done, (reached, go_on)) = (hands.done.clone(), hands.hold_decision());
        let (mut peer, work) = begun((&listener, &url), &lines, hands).await;
        peer.answer_list(&["a.py"]).await;
        peer.accept_announce(|ours| vec![report("c", ours, "i-alice", "agent:Alice")]).await;
        reached.await.unwrap();
        drop(peer);
        let mut peer = Peer::accept(&listener).await;
        peer.take("HELLO").await;
        welcome(&mut peer, 1, json!({})).await;
        peer.take("PROTOCOL_ERROR").await;
        peer.send(&summary(&["i-alice"])).await;
        peer.answer_read("a.py", "old").await;
        let announce = peer.take("INTENT_ANNOUNCE").await;
        let taken = "a.py is taken by intent i-carol (principal agent:Carol).";
        peer.refuse(&announce, "STALE_INTENT", taken).await;
        peer.answer_read("a.py", "old").await;
        let ended = json!({"intent_id": "i-carol", "reason": "task_completed"});
        if deciding {
            peer.other("agent:Carol", "INTENT_WITHDRAW", ended.clone()).await;
            lines.wait_for("agent:Carol ended intent i-carol").await;
        }
        go_on.send(()).unwrap();
        peer.answer_read("a.py", "old").await;
        if !deciding {
            peer.other("agent:Carol", "INTENT_WITHDRAW", ended).await;
            lines.wait_for("agent:Carol ended intent i-carol").await;
        }
        done.send_modify(|done| {
            done.insert("the end of Carol's".to_owned());
        });
        let again = tokio::time::timeout(SOON, peer.accept_announce(|_| vec![])).await;
        let again = again.unwrap_or_else(|_| panic!("{}", lines.text()));
        peer.accept_commit("new").await;
        peer.accept_withdraw(&again).await;
        assert!(matches!(work.await.unwrap(), Ok(Outcome::Committed(_))), "{}", lines.text());
    }
}

#[tokio::test]
async fn why_the_intent_was_rejected_meanwhile_is_told_and_not_only_that_it_was() {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let work = at_work(&[&url], PATIENCE, &lines);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 1, json!({})).await;
    let resolution = json!({"resolution_id": "r", "conflict_id": "c", "decision": "policy_override",
        "rationale": "Alice goes first", "outcome": {"rejected": [intent]},
        "extensions": {"mpac": {"category": "scope_overlap", "resolved_by": "human:Olga"}}});
    peer.say("RESOLUTION", resolution).await;
    peer.say("INTENT_WITHDRAW", json!({"intent_id": intent, "reason": "rejected_by_resolution"})).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.answer_read("a.py", "old").await;
    let error = work.await.unwrap().unwrap_err();
    assert!(matches!(&error, AgentError::Overruled(why) if why == "Alice goes first"), "{error}");
}
