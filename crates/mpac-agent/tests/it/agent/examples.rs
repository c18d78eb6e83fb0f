//! The examples do what they say.

use mpac_agent::agent::{Agent, ConnectOptions, Event};

use super::{Host, heard, on_a, patiently};

#[expect(dead_code, reason = "its `main` is for people")]
#[path = "../../../examples/batch.rs"]
mod batch;
#[expect(dead_code, reason = "its `main` is for people")]
#[path = "../../../examples/hand_over.rs"]
mod hand_over;
#[expect(dead_code, reason = "its `main` is for people")]
#[path = "../../../examples/watch_and_ack.rs"]
mod watch_and_ack;

#[tokio::test]
async fn a_bot_acknowledges_what_concerns_it() {
    let host = Host::start(&[]).await;
    let (ann, mut anns) = host.join("Ann").await;
    let files = ["a.py".to_owned()];
    let (acknowledged, ()) = tokio::join!(patiently(watch_and_ack::watch(&host.url, &files, 1)), async {
        heard(&mut anns, |event| matches!(event, Event::Announced { .. }).then_some(())).await;
        ann.announce(on_a()).await.unwrap();
        heard(&mut anns, |event| matches!(event, Event::Acknowledged { .. }).then_some(())).await;
    });
    assert_eq!(acknowledged.unwrap(), 1);
}

#[tokio::test]
async fn one_hands_over_and_the_other_finishes() {
    let host = Host::start(&["--intent-claim-grace-sec=0"]).await;
    let committed = patiently(hand_over::hand_over(&host.url, "a.py")).await.unwrap();
    let (agent, _) = Agent::connect(ConnectOptions::new(&host.url, "Eve")).await.unwrap();
    assert_eq!(agent.read_file("a.py").await.unwrap().unwrap().state_ref, committed.after);
    assert!(agent.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn several_files_change_together() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    let files = ["a.py".to_owned(), "b.py".to_owned()];
    let outcome = patiently(batch::rename(&agent, ("old", "new"), &files)).await.unwrap().unwrap();
    assert_eq!(outcome.committed.len(), 2);
    assert_eq!(agent.read_file("b.py").await.unwrap().unwrap().content, "new\n");
    assert_eq!(patiently(batch::rename(&agent, ("old", "new"), &files)).await.unwrap(), None);
    assert!(agent.view().await.unwrap().intents.is_empty());
}
