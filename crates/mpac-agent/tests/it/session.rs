//! Joining, leaving, and a connection that misbehaves.

use std::time::Duration;

use mpac_agent::connection::{Identity, Route, Target, Voice, connect};
use mpac_agent::error::AgentError;
use mpac_agent::history;
use mpac_wire::{PrincipalId, SessionId};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::covers;
use crate::fake_coordinator::{COORDINATOR, Lines, Work, connected, hello, info, report, script};

#[tokio::test]
async fn every_message_has_the_base_fields_but_no_epoch_and_nothing_else() {
    let reports = |ours: &str| vec![report("c1", ours, "i-alice", "agent:Alice")];
    let (mut work, intent) = Work::announced("agent:Bob", &script(""), reports).await;
    let peer = &mut work.peer;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    peer.accept_withdraw(&intent).await;
    peer.take("GOODBYE").await;
    let base = [
        "message_id",
        "message_type",
        "payload",
        "protocol",
        "sender",
        "session_id",
        "ts",
        "version",
        "watermark",
    ];
    for message in &peer.said {
        let mut keys: Vec<_> = message.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, base, "{message}");
        let mut keys: Vec<_> = message["sender"].as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["principal_id", "principal_type", "sender_instance_id"], "{message}");
    }
    for kind in
        ["HELLO", "HEARTBEAT", "INTENT_ANNOUNCE", "CONFLICT_ACK", "OP_COMMIT", "INTENT_WITHDRAW", "GOODBYE"]
    {
        assert!(!peer.said(kind).is_empty(), "{kind}");
    }
    work.end().await.unwrap();
}

#[tokio::test]
async fn a_successor_is_greeted_and_its_predecessor_not_heard_any_more() {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let joined = tokio::spawn(async move {
        session.join(hello()).await.unwrap();
        session
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    let mut session = joined.await.unwrap();
    let status = json!({"event": "assumed", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    let mut assumed = peer.message(COORDINATOR, "COORDINATOR_STATUS", status);
    assumed["coordinator_epoch"] = json!(2);
    peer.send(&assumed).await;
    let again = peer.take("HELLO").await;
    assert_eq!(again["payload"]["display_name"], "Bob");
    peer.say("SESSION_CLOSE", json!({"reason": "manual", "final_lamport_clock": 7})).await; // of epoch 1
    let close = json!({"reason": "completed", "final_lamport_clock": 7});
    let mut close = peer.message(COORDINATOR, "SESSION_CLOSE", close);
    close["coordinator_epoch"] = json!(2);
    peer.send(&close).await;
    let ended = loop {
        if let Err(error) = session.next().await {
            break error;
        }
    };
    assert!(matches!(&ended, AgentError::SessionClosed(reason) if reason == "completed"), "{ended}");
}

#[tokio::test]
async fn a_refused_hello_says_why() {
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let joined = tokio::spawn(async move { session.join(hello()).await });
    let hello = peer.take("HELLO").await;
    peer.refuse(&hello, "CREDENTIAL_REJECTED", "no credential").await;
    let error = joined.await.unwrap().unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("the coordinator refused HELLO: CREDENTIAL_REJECTED: no credential"),
        "{error}"
    );
    assert!(error.contains("--chain") && error.contains("MPAC_CREDENTIAL"), "{error}");
}

#[tokio::test]
async fn an_error_about_something_else_does_not_end_the_join() {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let joined = tokio::spawn(async move { session.join(hello()).await });
    peer.take("HELLO").await;
    peer.say(
        "PROTOCOL_ERROR",
        json!({"error_code": "RESOLUTION_TIMEOUT", "description": "d", "refers_to": "c-1"}),
    )
    .await;
    peer.say("SESSION_INFO", info(json!({"compatibility_errors": ["old client"], "participant_count": 2})))
        .await;
    joined.await.unwrap().unwrap();
    assert!(lines.text().contains("joined session s as agent:Bob, 2 here"), "{}", lines.text());
    assert!(lines.text().contains("the coordinator warns: old client"), "{}", lines.text());
}

#[tokio::test]
async fn silence_is_an_unknown_outcome_and_not_a_success() {
    let (session, _, peer) = connected("agent:Bob", &Lines::default()).await;
    let mut session = session.with_answer_limit(Duration::from_millis(20));
    let error = session.join(hello()).await.unwrap_err();
    assert!(matches!(error, AgentError::NoAnswer { .. }), "{error}");
    assert!(error.to_string().contains("unknown whether it took effect"), "{error}");
    drop(peer);
}

#[tokio::test]
async fn a_closed_socket_ends_the_work_with_its_reason() {
    let work = Work::start("agent:Bob", &script("")).await;
    drop(work.peer);
    let error = work.outcome.await.unwrap().unwrap_err();
    assert!(matches!(error, AgentError::Lost(_)), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[tokio::test]
async fn session_close_ends_the_work_with_its_reason() {
    let waits = r#","wait_for":[{"before":"plan","event":"OP_COMMIT"}]"#;
    let mut work = Work::start("agent:Bob", &script(waits)).await;
    work.peer.answer_list(&["a.py"]).await;
    // A peer cannot close the session.
    work.peer
        .other("agent:Eve", "SESSION_CLOSE", json!({"reason": "manual", "final_lamport_clock": 1}))
        .await;
    work.peer.say("SESSION_CLOSE", json!({"reason": "coordinator_shutdown", "final_lamport_clock": 9})).await;
    let error = work.end().await.unwrap_err();
    assert!(
        matches!(&error, AgentError::SessionClosed(reason) if reason == "coordinator_shutdown"),
        "{error}"
    );
}

#[tokio::test]
async fn frames_that_cannot_be_read_change_nothing() {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let listed = tokio::spawn(async move {
        session.join(hello()).await?;
        session.list_files().await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.send(&json!([])).await;
    peer.send(&json!({"type": "LATER"})).await;
    peer.say("OP_COMMIT", json!({"op_id": 7})).await;
    peer.answer_list(&["a.py"]).await;
    assert_eq!(listed.await.unwrap().unwrap().len(), 1);
    assert_eq!(lines.text().matches("cannot be read").count(), 3, "{}", lines.text());
}

#[tokio::test]
async fn heartbeats_come_from_their_own_timer() {
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let idle = tokio::spawn(async move {
        session.join(hello()).await?;
        session.meanwhile(std::future::pending::<()>()).await
    });
    peer.take("HELLO").await;
    peer.say("SESSION_INFO", info(json!({"liveness_policy": {"heartbeat_interval_sec": 1.0}}))).await;
    let beat = peer.next_of_any_kind().await.unwrap();
    assert_eq!((&beat["message_type"], &beat["payload"]), (&json!("HEARTBEAT"), &json!({"status": "idle"})));
    idle.abort();
}

#[tokio::test]
async fn a_refused_connection_names_the_command_that_starts_a_coordinator() {
    // Bound, so nobody else gets the port, and not listening.
    let free = TcpSocket::new_v4().unwrap();
    free.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let identity =
        Identity { principal: PrincipalId::new("agent:Bob").unwrap(), session: SessionId::new("s").unwrap() };
    let target = Target::new(&format!("ws://{}", free.local_addr().unwrap()), Vec::new()).unwrap();
    let error = connect(Route::once(target), Voice::new(identity), history::channel().0).await.unwrap_err();
    assert!(error.to_string().contains("cargo run -p mpac-ws"), "{error}");
}

#[tokio::test]
async fn the_answer_to_a_question_given_up_is_not_taken_for_the_next() {
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let read = tokio::spawn(async move {
        session.join(hello()).await?;
        let given_up = tokio::time::timeout(Duration::from_millis(20), session.read_file("a.py")).await;
        assert!(given_up.is_err(), "nobody has answered yet");
        session.read_file("b.py").await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    let (first, second) = (peer.take("FILE_READ").await, peer.take("FILE_READ").await);
    for asked in [first, second] {
        let path = &asked["path"];
        peer.send(&json!({"type": "FILE_CONTENT", "path": path, "content": path, "state_ref": "sha256:0"}))
            .await;
    }
    assert_eq!(read.await.unwrap().unwrap().unwrap().content, "b.py");
}

#[tokio::test]
async fn a_coordinator_whose_time_is_over_has_no_effect() {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let listed = tokio::spawn(async move {
        session.join(hello()).await?;
        session.list_files().await
    });
    peer.take("HELLO").await;
    let mut welcome = peer.message(COORDINATOR, "SESSION_INFO", info(json!({})));
    welcome["coordinator_epoch"] = json!(2);
    peer.send(&welcome).await;
    peer.say("SESSION_CLOSE", json!({"reason": "manual", "final_lamport_clock": 9})).await;
    peer.answer_list(&["a.py"]).await;
    assert_eq!(listed.await.unwrap().unwrap().len(), 1);
}

#[tokio::test]
async fn extra_headers_arrive_in_the_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let handshake = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut tokens = Vec::new();
        #[expect(clippy::result_large_err, reason = "the library's callback returns this")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            tokens.extend(request.headers().get_all("x-tunnel").iter().cloned());
            Ok(response)
        };
        let socket = tokio_tungstenite::accept_hdr_async(stream, note).await.unwrap();
        (socket, tokens)
    });
    let headers = ["one", "two"].map(|token| ("x-tunnel".parse().unwrap(), token.parse().unwrap()));
    let target = Target::new(&url, headers.to_vec()).unwrap();
    let identity =
        Identity { principal: PrincipalId::new("agent:Bob").unwrap(), session: SessionId::new("s").unwrap() };
    let _open = connect(Route::once(target), Voice::new(identity), history::channel().0).await.unwrap();
    let (_socket, tokens) = handshake.await.unwrap();
    assert_eq!(tokens, ["one", "two"]);
}

#[tokio::test]
async fn a_session_with_another_kind_of_state_reference_is_not_joined() {
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let joined = tokio::spawn(async move { session.join(hello()).await });
    peer.take("HELLO").await;
    peer.say("SESSION_INFO", info(json!({"state_ref_format": "git_commit"}))).await;
    let error = joined.await.unwrap().unwrap_err();
    assert!(matches!(&error, AgentError::StateRefFormat(found) if found == "git_commit"), "{error}");
}

#[tokio::test]
async fn many_files_are_asked_for_no_faster_than_coordinators_take_it() {
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let reading = tokio::spawn(async move {
        session.join(hello()).await?;
        let paths: Vec<String> = (0..600).map(|number| format!("{number}.py")).collect();
        let began = std::time::Instant::now();
        let read = session.read_files(&paths).await?.len();
        Ok::<_, AgentError>((read, began.elapsed()))
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    for number in 0..600 {
        peer.answer_read(&format!("{number}.py"), "old").await;
    }
    let (read, took) = reading.await.unwrap().unwrap();
    assert_eq!(read, 600);
    // Without a pace it takes half of that, and servers of this project would have hung up.
    assert!(took > Duration::from_millis(1_900), "{took:?}");
}

#[tokio::test]
async fn a_coordinator_that_falls_silent_is_told_and_so_is_its_return() {
    let lines = Lines::default();
    let (mut session, _, mut peer) = connected("agent:Bob", &lines).await;
    let idle = tokio::spawn(async move {
        session.join(hello()).await?;
        session.meanwhile(std::future::pending::<()>()).await
    });
    peer.take("HELLO").await;
    peer.say("SESSION_INFO", info(json!({"liveness_policy": {"heartbeat_interval_sec": 0.3}}))).await;
    let status = json!({"event": "heartbeat", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    peer.say("COORDINATOR_STATUS", status.clone()).await;
    lines.wait_for("the coordinator has been silent").await;
    peer.say("COORDINATOR_STATUS", status).await;
    lines.wait_for("the coordinator is back").await;
    idle.abort();
}

#[tokio::test]
async fn nothing_is_committed_while_the_coordinator_is_silent() {
    let waits = r#","wait_for":[{"before":"commit","event":"OP_COMMIT","from":"agent:Alice"}]"#;
    let (mut work, intent) = Work::announced("agent:Bob", &script(waits), |_| vec![]).await;
    let peer = &mut work.peer;
    let status =
        |event: &str| json!({"event": event, "coordinator_id": COORDINATOR, "session_health": "healthy"});
    peer.say("SESSION_INFO", info(json!({"liveness_policy": {"heartbeat_interval_sec": 0.3}}))).await;
    peer.say("COORDINATOR_STATUS", status("heartbeat")).await;
    peer.answer_read("a.py", "old").await;
    work.lines.wait_for("the coordinator has been silent").await;
    let commit = json!({"op_id": "op-1", "intent_id": "i-alice", "target": "b.py", "op_kind": "replace",
        "state_ref_before": "sha256:0", "state_ref_after": "sha256:1"});
    peer.other("agent:Alice", "OP_COMMIT", commit).await;
    work.lines.wait_for("the commit to a.py is held back").await;
    assert!(peer.said("OP_COMMIT").is_empty());
    peer.say("COORDINATOR_STATUS", status("heartbeat")).await;
    peer.accept_commit("new").await;
    peer.accept_withdraw(&intent).await;
    work.end().await.unwrap();
}

#[tokio::test]
async fn nothing_is_announced_beside_others_while_the_coordinator_is_silent() {
    covers!("REC-06", "PAR-04");
    let mut work = Work::start("agent:Bob", &script("")).await;
    let peer = &mut work.peer;
    let status = json!({"event": "heartbeat", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    peer.say("SESSION_INFO", info(json!({"liveness_policy": {"heartbeat_interval_sec": 0.3}}))).await;
    peer.say("COORDINATOR_STATUS", status.clone()).await;
    let scope = json!({"kind": "file_set", "resources": ["a.py"]});
    let announce = json!({"intent_id": "i-alice", "objective": "hers", "scope": scope});
    peer.other("agent:Alice", "INTENT_ANNOUNCE", announce).await;
    work.lines.wait_for("the coordinator has been silent").await;
    peer.answer_list(&["a.py"]).await;
    work.lines.wait_for("the announce is held back").await;
    assert!(peer.said("INTENT_ANNOUNCE").is_empty());
    peer.say("COORDINATOR_STATUS", status).await;
    // From here on it takes its time again.
    peer.say("SESSION_INFO", info(json!({}))).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.accept_commit("new").await;
    peer.accept_withdraw(&intent).await;
    work.end().await.unwrap();
}

#[tokio::test]
async fn a_status_about_an_event_begins_no_rhythm() {
    let mut work = Work::start("agent:Bob", &script("")).await;
    work.peer.say("SESSION_INFO", info(json!({"liveness_policy": {"heartbeat_interval_sec": 0.05}}))).await;
    let alert = json!({"event": "backend_alert", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    work.peer.say("COORDINATOR_STATUS", alert).await;
    // The shortest rhythm of our own heartbeats is 1 s, twenty of the session's.
    while work.peer.next_of_any_kind().await.unwrap()["message_type"] != "HEARTBEAT" {}
    assert!(!work.lines.text().contains("silent"), "{}", work.lines.text());
    work.outcome.abort();
}
