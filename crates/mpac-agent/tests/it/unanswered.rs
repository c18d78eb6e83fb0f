//! A coordinator that accepts a commit, and then says nothing more.

use std::time::Duration;

use mpac_agent::agent::{Agent, Announce, ConnectOptions, Edit};
use mpac_agent::error::AgentError;
use mpac_agent::naming::Naming;
use mpac_agent::task::{Change, Tally, TaskOptions, run_task};
use mpac_wire::StateRef;
use serde_json::{Value, json};

use crate::covers;
use crate::fake_coordinator::{Lines, connected, hello, listening};
use crate::hands::Hands;

/// It is waited for once in each test.
const LIMIT: Duration = Duration::from_secs(3);

fn told(error: &AgentError) -> (Vec<Value>, String) {
    match error {
        AgentError::NoAnswer { accepted, .. } => {
            (accepted.iter().map(|op| json!(op)).collect(), error.to_string())
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_task_tells_that_its_commit_was_accepted() {
    covers!("PAR-12");
    let ((accepted, error, tally), (_, unknown, open)) = tokio::join!(unanswered(true), unanswered(false));
    let (told, text) = told(&error);
    assert_eq!(told, std::slice::from_ref(&accepted));
    assert!(text.contains(&format!("but {} was accepted", accepted.as_str().unwrap())), "{text}");
    let paths = |changes: Vec<Change>| changes.into_iter().map(|it| it.path).collect::<Vec<_>>();
    assert_eq!((paths(tally.committed()), paths(tally.undecided())), (vec!["a.py".to_owned()], vec![]));
    assert!(matches!(unknown, AgentError::Undecided { .. }), "{unknown}");
    assert_eq!((paths(open.committed()), paths(open.undecided())), (vec![], vec!["a.py".to_owned()]));
}

/// The operation of a task whose commit is echoed or not, how the task ended, and what it told.
async fn unanswered(relays: bool) -> (Value, AgentError, Tally) {
    let lines = Lines::default();
    let (session, _, mut peer) = connected("agent:Bob", &lines).await;
    let options = TaskOptions::default();
    let tally = options.tally.clone();
    let work = tokio::spawn(async move {
        let mut session = session.with_answer_limit(LIMIT);
        session.join(hello()).await?;
        let mut naming = Naming::new("Bob");
        run_task(&mut session, &mut Hands::on(&["a.py"]), &mut naming, &options, "mend").await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    let commit = peer.until_commit().await;
    if relays {
        peer.relay(&commit).await;
    }
    let error = work.await.unwrap().unwrap_err();
    (commit["payload"]["op_id"].clone(), error, tally)
}

#[tokio::test]
async fn an_agent_tells_which_of_its_operations_were_accepted() {
    covers!("PAR-12");
    for relays in [true, false] {
        let (url, accept) = listening().await;
        let mut options = ConnectOptions::new(&url, "Bob");
        options.session = Some("s".to_owned());
        options.answer_limit = LIMIT;
        let connecting = tokio::spawn(Agent::connect(options));
        let mut peer = accept.await.unwrap();
        peer.answers_barriers();
        peer.take("HELLO").await;
        peer.welcome().await;
        let looking = tokio::spawn(async move {
            // The barriers of joining and of the announce are answered on the way.
            let announce = peer.take("INTENT_ANNOUNCE").await;
            peer.relay(&announce).await;
            let commit = peer.take("OP_COMMIT").await;
            if relays {
                peer.relay(&commit).await;
            }
            (peer, commit)
        });
        let (agent, _events) = connecting.await.unwrap().unwrap();
        let intent = agent.announce(Announce::files("mend", ["a.py"])).await.unwrap().intent;
        let edit = Edit::on("a.py", StateRef::of("old"), "new");
        let error = agent.commit(Some(&intent), edit).await.unwrap_err();
        let (_peer, commit) = looking.await.unwrap();
        let (accepted, text) = told(&error);
        match relays {
            true => assert_eq!(&accepted[..], std::slice::from_ref(&commit["payload"]["op_id"])),
            false => {
                assert!(accepted.is_empty() && text.contains("unknown whether it took effect"), "{text}")
            }
        }
    }
}
