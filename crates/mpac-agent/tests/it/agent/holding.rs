//! `mpac-agent announce --hold`: the intent lives for as long as the program does, and the program no longer than the intent.

use mpac_agent::agent::{Announce, Event, Verdict};
use mpac_wire::names::Decision;

use super::interrupting::{end, interrupt, joined, shown};
use super::program::command;
use super::{Host, heard};
use crate::covers;

const HOLD: [&str; 6] = ["announce", "a.py", "-m", "his", "--hold", "--json"];

#[tokio::test]
async fn an_intent_is_prolonged_as_long_as_it_is_held() {
    covers!("INT-12");
    let host = Host::start(&[]).await;
    let (ann, mut events) = host.join("Ann").await;
    let mut child = command(&host.url, "Bob", &[&HOLD[..], &["--ttl-sec", "4"]].concat()).spawn().unwrap();
    shown(&mut child, "verb", "announce").await;
    for _ in 0..2 {
        heard(&mut events, |event| matches!(event, Event::Updated { .. }).then_some(())).await;
    }
    assert_eq!(ann.view().await.unwrap().intents.len(), 1);
    interrupt(&child);
    let (code, text) = end(child).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(ann.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn an_intent_that_ends_all_the_same_is_not_held_any_more() {
    let host = Host::governed(&[]).await;
    let mut child = command(&host.url, "Bob", &[&HOLD[..], &["--role", "owner"]].concat()).spawn().unwrap();
    shown(&mut child, "verb", "announce").await;
    let (ann, _events) = host.join_as("Ann", "owner").await;
    let hers = ann.announce(Announce::files("hers", ["a.py"])).await.unwrap();
    let view = ann.view().await.unwrap();
    let his = view.intents.iter().find(|it| !it.own).unwrap();
    let mut verdict = Verdict::of(Decision::Approved);
    verdict.accepted = vec![hers.intent.to_string()];
    verdict.rejected = vec![his.intent_id.to_string()];
    ann.resolve_conflict(&hers.conflicts[0].conflict_id, verdict).await.unwrap();
    let (code, text) = end(child).await;
    assert!(code == Some(1) && text.contains("nothing is held any more"), "{code:?} {text}");
}

#[tokio::test]
async fn an_intent_that_cannot_be_prolonged_is_held_until_its_time_is_over() {
    let (child, mut peer) = joined(&[&HOLD[..], &["--ttl-sec", "4"]].concat()).await;
    let announce = peer.take("INTENT_ANNOUNCE").await;
    peer.relay(&announce).await;
    let refusing = tokio::spawn(async move {
        let mut refused = 0;
        while let Some(message) = peer.next().await {
            if message["message_type"] == "INTENT_UPDATE" {
                peer.refuse(&message, "SCOPE_FROZEN", "for now").await;
                refused += 1;
            }
        }
        refused
    });
    let (code, text) = end(child).await;
    assert!(code == Some(1) && text.contains("could not be prolonged"), "{code:?} {text}");
    assert!(refusing.await.unwrap() > 1, "the reason might have passed");
}
