//! A commit to a file that cannot be read after it.

use mpac_agent::agent::{Agent, Announce, Committed, ConnectOptions, Edit};
use mpac_agent::error::AgentError;
use mpac_wire::StateRef;
use serde_json::json;

use super::patiently;
use crate::covers;
use crate::fake_coordinator::listening;

/// What the coordinator says of the commit, before it says that the file cannot be read.
#[derive(Clone, Copy)]
enum Said {
    Accepted,
    /// Without a word of the file.
    Relayed,
    Refused(&'static str),
    Nothing,
}

/// What becomes of a commit of which that is said.
async fn committed(said: Said) -> Result<Committed, AgentError> {
    let (url, accept) = listening().await;
    let mut options = ConnectOptions::new(&url, "Bob");
    options.session = Some("s".to_owned());
    let coordinator = tokio::spawn(async move {
        let mut peer = accept.await.unwrap();
        peer.answers_barriers();
        peer.take("HELLO").await;
        peer.welcome().await;
        let announce = peer.take("INTENT_ANNOUNCE").await;
        peer.relay(&announce).await;
        let commit = peer.take("OP_COMMIT").await;
        match said {
            Said::Accepted => {
                peer.relay(&commit).await;
                let update = json!({"type": "FILE_UPDATED", "path": "a.py",
                    "state_ref": commit["payload"]["state_ref_after"], "updated_by": commit["sender"]["principal_id"]});
                peer.send(&update).await;
            }
            Said::Relayed => peer.relay(&commit).await,
            Said::Refused(code) => peer.refuse(&commit, code, "no").await,
            Said::Nothing => {}
        }
        peer.take("FILE_READ").await;
        peer.send(&json!({"type": "FILE_ERROR", "path": "a.py", "error": "no UTF-8"})).await;
        peer
    });
    let (agent, _events) = patiently(Agent::connect(options)).await.unwrap();
    let intent = patiently(agent.announce(Announce::files("mend", ["a.py"]))).await.unwrap().intent;
    let committed = agent.commit(Some(&intent), Edit::on("a.py", StateRef::of("old"), "new"));
    let committed = patiently(committed).await;
    coordinator.await.unwrap();
    committed
}

#[tokio::test]
async fn what_was_said_of_it_counts_all_the_same() {
    covers!("PAR-12");
    assert_eq!(committed(Said::Accepted).await.unwrap().after, StateRef::of("new"));
    for code in ["SCOPE_FROZEN", "STALE_STATE_REF"] {
        match committed(Said::Refused(code)).await {
            Err(AgentError::TurnedDown(refusal)) => assert_eq!(refusal.code, code),
            other => panic!("{other:?}"),
        }
    }
    let ignored = committed(Said::Nothing).await;
    assert!(matches!(ignored, Err(AgentError::Ignored { .. })), "{ignored:?}");
}

#[tokio::test]
async fn where_the_file_alone_could_tell_that_it_cannot_be_read_is_told() {
    let relayed = committed(Said::Relayed).await;
    assert!(matches!(relayed, Err(AgentError::Unreadable { .. })), "{relayed:?}");
}
