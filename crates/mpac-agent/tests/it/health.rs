//! What heartbeats say: what the agent does, and how its model is.

use std::time::Duration;

use mpac_agent::brain::BrainError;
use mpac_agent::error::AgentError;
use mpac_agent::naming::Naming;
use mpac_agent::task::{Outcome, TaskOptions, run_task};
use mpac_wire::payload::session::{Backend, Hello};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::covers;
use crate::fake_coordinator::{Lines, Peer, connected, info};
use crate::hands::Hands;

/// At work in a session that wants to know how models are.
async fn watched(mut hands: Hands) -> (Peer, JoinHandle<Result<Outcome, AgentError>>) {
    hands.model = Some("anthropic/claude-sonnet-4-6");
    let (mut session, _, mut peer) = connected("agent:Bob", &Lines::default()).await;
    let mut hello = Hello::new("Bob".to_owned(), Vec::new());
    hello.backend = Some(Backend::new("anthropic/claude-sonnet-4-6".to_owned(), "anthropic".to_owned()));
    let work = tokio::spawn(async move {
        session.join(hello.into()).await?;
        let outcome =
            run_task(&mut session, &mut hands, &mut Naming::new("Bob"), &TaskOptions::default(), "mend")
                .await;
        session.leave("completed".into()).await;
        outcome
    });
    peer.take("HELLO").await;
    let liveness = json!({"heartbeat_interval_sec": 30.0, "backend_health_policy": {"enabled": true}});
    peer.say("SESSION_INFO", info(json!({"liveness_policy": liveness}))).await;
    (peer, work)
}

/// What the heartbeats have said, one after the other: doing what, under an intent, and how the model is.
fn beats(peer: &Peer) -> Vec<(String, bool, Value)> {
    let told = |beat: &&Value| {
        let payload = &beat["payload"];
        let status = payload["status"].as_str().unwrap().to_owned();
        (
            status,
            payload["active_intent_id"].is_string(),
            payload["backend_health"]["provider_status"].clone(),
        )
    };
    peer.said("HEARTBEAT").iter().map(told).collect()
}

#[tokio::test]
async fn heartbeats_say_what_is_done_under_which_intent_and_that_the_model_works() {
    covers!("LIV-19", "PAR-03", "BHM-01");
    let (mut peer, work) = watched(Hands::on(&["a.py"])).await;
    peer.serve_task(true).await;
    work.await.unwrap().unwrap();
    let beats = beats(&peer);
    let states: Vec<(&str, bool)> =
        beats.iter().map(|(status, under, _)| (status.as_str(), *under)).collect();
    assert_eq!(states, [("working", false), ("working", true), ("idle", false)]);
    assert_eq!(beats.last().unwrap().2, "operational", "{beats:?}");
}

#[tokio::test]
async fn a_call_that_has_to_be_repeated_shows_a_degraded_model_until_it_is_answered() {
    covers!("BHM-01");
    let mut hands = Hands::on(&["a.py"]);
    hands.retries = true;
    let (mut peer, work) = watched(hands).await;
    peer.serve_task(true).await;
    work.await.unwrap().unwrap();
    let said: Vec<Value> = beats(&peer).into_iter().map(|(_, _, health)| health).collect();
    let at = said.iter().position(|health| health == "degraded").unwrap_or_else(|| panic!("{said:?}"));
    assert_eq!(said[at + 1], "operational", "{said:?}");
    let degraded = &peer.said("HEARTBEAT")[at]["payload"]["backend_health"];
    assert_eq!(degraded["model_id"], "anthropic/claude-sonnet-4-6");
    assert_eq!(degraded["status_detail"], "the Messages API answered 529: busy");
    assert!(degraded["checked_at"].is_string(), "{degraded}");
}

#[tokio::test]
async fn that_the_model_is_down_is_said_after_the_intent_is_withdrawn() {
    covers!("BHM-01", "BHM-05");
    let mut hands = Hands::on(&["a.py"]);
    hands.fails = [("a.py", BrainError::Refused { status: 529, message: "busy".to_owned() })].into();
    let (mut peer, work) = watched(hands).await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.take("INTENT_WITHDRAW").await;
    while peer.next().await.is_some() {}
    assert!(matches!(work.await.unwrap(), Err(AgentError::Brain(_))));
    let kinds: Vec<(&str, &Value)> = peer
        .said
        .iter()
        .map(|it| (it["message_type"].as_str().unwrap(), &it["payload"]["backend_health"]["provider_status"]))
        .collect();
    let withdrawn = kinds.iter().position(|(kind, _)| *kind == "INTENT_WITHDRAW").unwrap();
    let down = kinds.iter().position(|(_, health)| **health == "down").unwrap_or_else(|| panic!("{kinds:?}"));
    assert!(down > withdrawn, "{kinds:?}");
}

#[tokio::test]
async fn a_session_that_does_not_want_to_know_is_told_nothing_of_the_model() {
    covers!("PAR-13");
    let mut hands = Hands::on(&["a.py"]);
    hands.model = Some("anthropic/claude-sonnet-4-6");
    hands.retries = true;
    let (mut peer, _, work) = crate::at_work::joined(hands, TaskOptions::default()).await;
    peer.serve_task(true).await;
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap().unwrap().unwrap();
    assert!(beats(&peer).iter().all(|(_, _, health)| health.is_null()));
}

#[tokio::test]
async fn what_is_shown_late_says_nothing_of_how_the_model_is_by_now() {
    covers!("BHM-01");
    let mut hands = Hands::on(&["a.py", "b.py"]);
    hands.retries = true;
    // The second file is done, its trouble included, before the first is.
    hands.after = [("a.py", "b.py")].into();
    let (mut peer, work) = watched(hands).await;
    peer.answer_list(&["a.py", "b.py"]).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    peer.answer_read("b.py", "old").await;
    for path in ["a.py", "b.py"] {
        let commit = peer.take("OP_COMMIT").await;
        assert_eq!(commit["payload"]["target"], path);
        peer.relay(&commit).await;
        peer.answer_read(path, "new").await;
    }
    while peer.next().await.is_some() {}
    work.await.unwrap().unwrap();
    let said: Vec<Value> = beats(&peer).into_iter().map(|(_, _, health)| health).collect();
    assert_eq!(said.iter().filter(|health| *health == "degraded").count(), 2, "once a file: {said:?}");
    assert_eq!(said.last().unwrap(), "operational", "{said:?}");
}
