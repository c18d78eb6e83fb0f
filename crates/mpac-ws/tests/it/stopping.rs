//! How a server ends.

use tokio::net::TcpStream;

use crate::rig::{host, patiently};

#[tokio::test]
async fn a_stop_closes_the_session_for_everybody_and_then_the_connections() {
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
    patiently(stopping).await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_half_a_handshake() {
    let host = host(&[]).await;
    let half = TcpStream::connect(host.address).await.unwrap();
    half.writable().await.unwrap();
    half.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    host.stop().await;
}
