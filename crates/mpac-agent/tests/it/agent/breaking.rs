//! Verbs over a connection that breaks at each step in turn: done once, or said to be undecided, and nothing is left over.

use std::time::Duration;

use mpac_agent::agent::{Agent, Announce, Committed, ConnectOptions, Edit, Event, Proposal};
use mpac_agent::error::AgentError;
use mpac_wire::StateRef;
use serde_json::json;
use tokio::sync::oneshot;

use super::dropping::polled;
use super::patiently;
use crate::covers;
use crate::fake_coordinator::{COORDINATOR, Peer, info};
use crate::returning::listener;
use crate::small_coordinator::{Manner, Small};

fn options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url, "Bob");
    options.session = Some("s".to_owned());
    options.patience = Duration::from_secs(20);
    options
}

/// Announces, commits and withdraws, whatever the connection does.
async fn work(url: &str) -> Result<Committed, AgentError> {
    let (agent, _) = Agent::connect(options(url)).await?;
    let intent = agent.announce(Announce::files("mend it", ["a.py"])).await?.intent;
    let base = agent.read_file("a.py").await?.unwrap();
    let committed = agent.commit(Some(&intent), Edit::of("a.py", &base, "new\n")).await?;
    agent.withdraw(&intent, Some("task_completed")).await?;
    agent.leave(Default::default()).await?;
    Ok(committed)
}

async fn at_each_step(manner: Manner) {
    for step in 0.. {
        let small = Small::start(manner, vec![step]).await;
        let done = patiently(work(&small.url)).await;
        let state = small.state.lock().unwrap();
        if small_broke_before_joining(&state.hellos, &done) {
            continue;
        }
        let committed = done.unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert_eq!(committed.path, "a.py", "step {step}");
        assert_eq!(state.files["a.py"], "new\n", "step {step}");
        assert_eq!(state.applied, ["a.py"], "step {step}: applied once");
        assert!(state.live.is_empty(), "step {step}: {:?}", state.live);
        drop(state);
        if small.broken() == 0 {
            assert!(step > 10, "it broke nowhere");
            return;
        }
    }
}

/// Who has not been let in yet has nothing to come back to.
fn small_broke_before_joining(hellos: &[serde_json::Value], done: &Result<Committed, AgentError>) -> bool {
    hellos.len() <= 1 && matches!(done, Err(AgentError::Lost(_)))
}

#[tokio::test]
async fn each_verb_is_done_once_whenever_the_connection_breaks() {
    covers!("PAR-05", "PAR-12", "PAR-22");
    at_each_step(Manner::default()).await;
}

#[tokio::test]
async fn the_same_holds_for_a_server_that_tells_nothing_of_what_it_has() {
    covers!("PAR-13");
    at_each_step(Manner { simple: true, ..Manner::default() }).await;
}

/// Who finds a coordinator that knows nothing any more works under an intent that is there, or not at all.
#[tokio::test]
async fn nothing_is_half_done_with_a_coordinator_that_forgets() {
    covers!("PAR-22");
    let manner = Manner { forgets: true, ..Manner::default() };
    for step in 0.. {
        let small = Small::start(manner, vec![step]).await;
        let done = patiently(work(&small.url)).await;
        let state = small.state.lock().unwrap();
        let text = state.files["a.py"].as_str();
        match done {
            Ok(_) => assert_eq!((text, state.applied.len()), ("new\n", 1), "step {step}"),
            Err(error) => {
                let refused = matches!(error, AgentError::Withheld { .. } | AgentError::TurnedDown(_));
                assert!(refused || state.hellos.len() <= 1, "step {step}: {error}");
                // The commit may have been there before its intent was forgotten, and is whole.
                assert!(text == "old\n" || text == "new\n", "step {step}: {text}");
            }
        }
        drop(state);
        if small.broken() == 0 {
            return;
        }
    }
}

#[tokio::test]
async fn an_announce_gives_its_conflicts_whenever_the_connection_breaks() {
    covers!("PAR-19", "PAR-22");
    for simple in [false, true] {
        for step in 0.. {
            let small =
                Small::start(Manner { conflict: true, simple, ..Manner::default() }, vec![step]).await;
            let Ok((agent, _)) = patiently(Agent::connect(options(&small.url))).await else { continue };
            let announced = patiently(agent.announce(Announce::files("mend it", ["a.py"]))).await.unwrap();
            let conflicts: Vec<&str> = announced.conflicts.iter().map(|it| it.conflict_id.as_str()).collect();
            assert_eq!(conflicts, [format!("c-{}", announced.intent)], "{simple} step {step}");
            if small.broken() == 0 {
                assert!(step > 6, "it broke nowhere");
                break;
            }
        }
    }
}

/// An announce that was dropped while the connection broke: it is withdrawn when the connection is back.
#[tokio::test]
async fn what_was_dropped_in_a_break_is_withdrawn_after_it() {
    covers!("PAR-22");
    for step in 2.. {
        let small = Small::start(Manner::default(), vec![step]).await;
        let Ok((agent, _)) = patiently(Agent::connect(options(&small.url))).await else { continue };
        for polls in [1, 2] {
            let announce = Announce::files("mend it", ["a.py"]);
            let announced = polled(agent.announce(announce), polls).await;
            if let Some(announced) = announced {
                patiently(agent.withdraw(&announced.unwrap().intent, None)).await.unwrap();
            }
        }
        // It waits for the connection, and comes after what its return has led to.
        patiently(agent.read_file("a.py")).await.unwrap();
        patiently(agent.read_file("a.py")).await.unwrap();
        let state = small.state.lock().unwrap();
        assert!(state.live.is_empty(), "step {step}: {:?}", state.live);
        drop(state);
        if small.broken() == 0 {
            assert!(step > 6, "it broke nowhere");
            return;
        }
    }
}

#[tokio::test]
async fn a_completion_that_was_accepted_before_the_break_is_done_whatever_came_on_top_of_it() {
    covers!("PAR-12", "OPS-25", "D-096");
    let (listener, url) = listener().await;
    let work = tokio::spawn(async move {
        let (agent, _) = Agent::connect(options(&url)).await?;
        agent.propose_and_commit(None, Edit::on("a.py", StateRef::of("old"), "new")).await
    });
    let joined = async || {
        let mut peer = Peer::accept(&listener).await;
        peer.answers_barriers();
        peer.take("HELLO").await;
        peer.say("SESSION_INFO", info(json!({"execution_model": "pre_commit"}))).await;
        peer
    };
    let mut peer = joined().await;
    let proposal = peer.take("OP_PROPOSE").await;
    let op = proposal["payload"]["op_id"].as_str().unwrap().to_owned();
    let authorised = json!({"event": "authorization", "coordinator_id": COORDINATOR, "session_health": "healthy",
        "authorized_op_id": op});
    peer.say("COORDINATOR_STATUS", authorised).await;
    peer.take("OP_COMMIT").await;
    peer.close(1012, "").await;

    let mut peer = joined().await;
    let serve = async {
        while let Some(asked) = peer.next().await {
            if asked["type"] == "FILE_READ" {
                peer.content("a.py", "somebody else's").await;
            } else if asked["message_type"] == "OP_COMMIT" {
                let refused = format!("operation {op} is Committed");
                peer.refuse(&asked, "INVALID_REFERENCE", &refused).await;
            }
        }
    };
    // Its last words may be heard before what became of it.
    let (done, ()) = patiently(async { tokio::join!(work, serve) }).await;
    assert_eq!(done.unwrap().unwrap().op.as_str(), op);
}

#[tokio::test]
async fn what_ends_because_we_were_taken_for_gone_is_not_waited_for() {
    covers!("LIV-12", "OPS-24", "PAR-10");
    for is_waiting in [true, false] {
        let (listener, url) = listener().await;
        let (waits, waiting) = oneshot::channel();
        let asks = tokio::spawn(async move {
            let (agent, mut events) = Agent::connect(options(&url)).await?;
            let op = agent.propose(Proposal::of(None, "a.py")).await?;
            if is_waiting {
                let mut authorised = std::pin::pin!(agent.authorisation(&op));
                assert!(futures::poll!(authorised.as_mut()).is_pending());
                waits.send(()).unwrap();
                return authorised.await;
            }
            waits.send(()).unwrap();
            events.find(|event| matches!(event, Event::Left { .. }).then_some(())).await;
            agent.authorisation(&op).await
        });
        let mut peer = Peer::accept(&listener).await;
        peer.answers_barriers();
        peer.take("HELLO").await;
        peer.say("SESSION_INFO", info(json!({"execution_model": "pre_commit"}))).await;
        let proposal = peer.take("OP_PROPOSE").await;
        peer.answer_barrier().await;
        patiently(waiting).await.unwrap();
        let gone = json!({"error_code": "PARTICIPANT_UNAVAILABLE", "description": "agent:Bob is silent",
            "affected_principal": "agent:Bob", "refers_to": proposal["message_id"]});
        peer.say("PROTOCOL_ERROR", gone).await;
        let Err(AgentError::TurnedDown(refusal)) = patiently(asks).await.unwrap() else {
            panic!("it is over")
        };
        assert_eq!(refusal.code, "OP_REJECT", "{refusal}");
        assert_eq!(refusal.why == "participant_unavailable", is_waiting, "{refusal}");
    }
}
