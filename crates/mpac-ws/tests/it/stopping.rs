//! How a server ends.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;

use crate::covers;
use crate::rig::{host, patiently};

/// The shortest time that a stop gives to anybody.
const SHORTEST_GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_stop_closes_the_session_for_everybody_and_then_the_connections() {
    covers!("SES-13");
    let host = host(&[]).await;
    let (mut alice, mut stranger) = (host.join("agent:alice").await, host.connect("/").await);
    stranger.is_alive().await;
    let address = host.address;
    let stopping = host.stopping();
    let close = alice.until("SESSION_CLOSE").await;
    assert_eq!(close["payload"]["reason"], "coordinator_shutdown");
    assert_eq!(alice.close_code().await, 1001);
    assert_eq!(stranger.close_code().await, 1001);
    drop((alice, stranger));
    patiently(stopping).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_half_a_handshake() {
    let host = host(&[]).await;
    let half = TcpStream::connect(host.address).await.unwrap();
    half.writable().await.unwrap();
    half.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    // Connections are accepted in turn: once this one is through, so is the other.
    host.connect("/").await.hang_up().await;
    let begin = Instant::now();
    host.stop().await;
    assert!(begin.elapsed() < SHORTEST_GRACE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_stop_gives_up_a_reader_who_is_stuck() {
    let host = host(&["--queue-frames=100000"]).await;
    let mut stuck = host.connect_with("/", Some(8 * 1024)).await;
    stuck.hello("agent:stuck").await;
    let mut alice = host.join("agent:alice").await;
    let objective = "x".repeat(60_000);
    // Far more than the buffers of both ends of the stuck one's connection hold.
    for n in 0..200 {
        let scope = json!({"kind": "file_set", "resources": [format!("{n}.py")]});
        let announce = json!({"intent_id": format!("i-{n}"), "objective": objective, "scope": scope});
        alice.say("INTENT_ANNOUNCE", announce).await;
        alice.until("INTENT_ANNOUNCE").await;
    }
    let begin = Instant::now();
    let stopping = host.stopping();
    assert_eq!(alice.close_code().await, 1001, "the others are told all the same");
    patiently(stopping).await.unwrap().unwrap();
    assert!(begin.elapsed() < 3 * SHORTEST_GRACE, "{:?}", begin.elapsed());
    let (_, code) = stuck.rest().await;
    assert_eq!(code, 1006, "it was cut off");
}
