//! A coordinator that sends no status any more, though something answers pings in its place.

use std::time::Duration;

use mpac_agent::task::Outcome;
use serde_json::json;
use tokio::time::timeout;

use crate::covers;
use crate::fake_coordinator::{COORDINATOR, Lines, Peer};
use crate::returning::{at_work, listener, look_around, welcome};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn it_is_given_up_for_its_standby() {
    covers!("REC-05");
    let ((first, first_url), (second, second_url)) = (listener().await, listener().await);
    let lines = Lines::default();
    let work = at_work(&[&first_url, &second_url], PATIENCE, &lines);
    let mut stuck = Peer::accept(&first).await;
    stuck.take("HELLO").await;
    welcome(&mut stuck, 1, json!({"liveness_policy": {"heartbeat_interval_sec": 0.3}})).await;
    let status = json!({"event": "heartbeat", "coordinator_id": COORDINATOR, "session_health": "healthy"});
    stuck.say("COORDINATOR_STATUS", status).await;
    // Who reads answers pings.
    let answering = tokio::spawn(async move { while stuck.next().await.is_some() {} });
    let mut standby = timeout(PATIENCE, Peer::accept(&second)).await.expect("the standby is tried");
    standby.take("HELLO").await;
    answering.await.unwrap();
    welcome(&mut standby, 2, json!({})).await;
    look_around(&mut standby).await;
    standby.serve_task(true).await;
    assert!(matches!(work.await.unwrap().unwrap(), Outcome::Committed(_)));
    let told = lines.text();
    assert!(told.contains("pings are answered, and no status has come for"), "{told}");
}
