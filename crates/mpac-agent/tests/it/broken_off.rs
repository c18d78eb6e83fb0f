//! Work that is broken off in the midst of a commit: what became of that is found out, or said not to be known.

use std::time::Duration;

use mpac_agent::error::AgentError;
use mpac_agent::task::{Outcome, Tally, TaskOptions, run_task};
use mpac_wire::StateRef;
use serde_json::{Value, json};

use crate::at_work::joined;
use crate::covers;
use crate::fake_coordinator::{Lines, Peer, hello, opened};
use crate::hands::Hands;
use crate::returning::{listener, summary, welcome};

/// The files, with `a.py` like that.
async fn list(peer: &mut Peer, text: &str) {
    let file = json!({"path": "a.py", "state_ref": StateRef::of(text).as_str(), "size": text.len()});
    peer.send(&json!({"type": "FILE_LIST_RESPONSE", "files": [file]})).await;
}

fn committed(tally: &Tally) -> Vec<String> {
    tally.committed().into_iter().map(|change| change.path).collect()
}

/// The time is over when the commit to `a.py` has gone out. It is accepted or not a word is said of it, and its file is like that.
async fn too_late(accepts: bool, text: &str) -> (AgentError, Tally) {
    // The work needs a small part of it.
    let options = TaskOptions { time_limit: Some(Duration::from_secs(3)), ..TaskOptions::default() };
    let tally = options.tally.clone();
    let (mut peer, lines, work) = joined(Hands::on(&["a.py"]), options).await;
    let commit = peer.until_commit().await;
    if accepts {
        peer.relay(&commit).await;
    }
    peer.take("FILE_READ").await;
    peer.take("FILE_LIST").await;
    list(&mut peer, text).await;
    let error = work.await.unwrap().unwrap_err();
    assert_eq!(lines.text().contains("committed a.py"), !tally.committed().is_empty(), "{}", lines.text());
    (error, tally)
}

#[tokio::test]
async fn a_commit_that_was_under_way_when_the_time_was_over_is_looked_for() {
    covers!("PAR-12");
    let ((had, first), (had_not, second), (unknown, third)) =
        tokio::join!(too_late(true, "new"), too_late(false, "old"), too_late(false, "another"));
    assert!(matches!(had, AgentError::TaskTooLong { .. }), "{had}");
    assert_eq!((committed(&first), first.undecided()), (vec!["a.py".to_owned()], vec![]));
    assert!(matches!(had_not, AgentError::TaskTooLong { .. }), "{had_not}");
    assert_eq!((committed(&second), second.undecided()), (vec![], vec![]));
    assert!(unknown.to_string().contains("whether a.py was committed is not known"), "{unknown}");
    assert_eq!((third.undecided().len(), unknown.exit_code()), (1, 6));
}

#[tokio::test]
async fn a_commit_behind_which_the_connection_is_lost_for_good_is_not_told_as_not_committed() {
    covers!("PAR-12");
    for accepts in [true, false] {
        let options = TaskOptions::default();
        let tally = options.tally.clone();
        let (mut peer, _, work) = joined(Hands::on(&["a.py"]), options).await;
        let commit = peer.until_commit().await;
        if accepts {
            peer.relay(&commit).await;
        }
        drop(peer);
        let error = work.await.unwrap().unwrap_err();
        let AgentError::Undecided { paths, why } = &error else { panic!("{error}") };
        assert!(matches!(**why, AgentError::Lost(_)), "{error}");
        assert_eq!((&paths[..], tally.undecided().len()), (&["a.py".to_owned()][..], 1));
        assert_eq!((committed(&tally), error.exit_code()), (vec![], 6));
    }
}

/// A break swallows the answer to a commit and costs the intent, and Carol holds the file then: it is left to her, and is like
/// that in the end.
async fn left(text: &str) -> (Result<Outcome, AgentError>, String) {
    let (listener, url) = listener().await;
    let lines = Lines::default();
    let opening = opened("agent:Bob", &url, Duration::from_secs(60), &lines);
    let ((mut session, _), mut peer) = tokio::join!(opening, Peer::accept(&listener));
    let work = tokio::spawn(async move {
        session.join(hello()).await?;
        let options = TaskOptions { wait_limit: Duration::from_millis(50), ..TaskOptions::default() };
        let mut naming = mpac_agent::naming::Naming::new("Bob");
        run_task(&mut session, &mut Hands::on(&["a.py"]), &mut naming, &options, "mend").await
    });
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.until_commit().await;
    drop(peer);
    let mut peer = Peer::accept(&listener).await;
    peer.take("HELLO").await;
    welcome(&mut peer, 1, json!({})).await;
    peer.take("PROTOCOL_ERROR").await;
    peer.send(&summary(&[])).await;
    loop {
        let frame: Value = peer.next().await.unwrap();
        if frame["message_type"] == "INTENT_ANNOUNCE" {
            let taken = "a.py is taken by intent i-carol (principal agent:Carol).";
            peer.refuse(&frame, "STALE_INTENT", taken).await;
        } else if frame["type"] == "FILE_READ" {
            peer.content("a.py", "somebody else's").await;
        } else {
            assert_eq!(frame["type"], "FILE_LIST", "{frame}");
            break;
        }
    }
    list(&mut peer, text).await;
    (work.await.unwrap(), lines.text())
}

#[tokio::test]
async fn a_commit_that_may_have_arrived_is_not_told_as_left_to_others() {
    covers!("PAR-12");
    let (undecided, told) = left("somebody else's").await;
    assert!(matches!(undecided, Err(AgentError::Unsettled { .. })), "{undecided:?} {told}");
    let (had_arrived, told) = left("new").await;
    assert_eq!(had_arrived.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]), "{told}");
}
