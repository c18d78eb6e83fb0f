//! What somebody may cost who has not joined.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{api_key, command, place, secret, server};
use crate::rig::{host, patiently};

/// Everything that comes until the end.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    patiently(stream.read_to_string(&mut text)).await.unwrap();
    text
}

async fn dial(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_request_is_hung_up_on() {
    let host = host(&["--handshake-within-sec=1"]).await;
    let silent = dial(host.address).await;
    let mut slow = dial(host.address).await;
    slow.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    let mut joined = host.join("agent:bob").await;
    rest(silent).await;
    rest(slow).await;
    joined.is_alive().await;
}

#[tokio::test]
async fn an_answered_request_holds_no_connection() {
    let host = host(&[]).await;
    let mut stream = dial(host.address).await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.ends_with("ok\n"));
}

#[tokio::test]
async fn one_address_gets_so_many_connections_and_is_told_so() {
    let host = host(&["--max-connections-per-address=2"]).await;
    let (first, _second) = (host.join("agent:bob").await, host.join("agent:ann").await);
    let refused = rest(dial(host.address).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("Retry-After: 5"), "{refused}");
    first.hang_up().await;
    // The place is free once the server has let go of it, which is a moment after the client has.
    patiently(async {
        loop {
            let stream = dial(host.address).await;
            if tokio_tungstenite::client_async(format!("ws://{}/", host.address), stream).await.is_ok() {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_takes_so_many_connections() {
    let host = host(&["--max-connections=1"]).await;
    let mut only = host.join("agent:bob").await;
    let refused = rest(dial(host.address).await).await;
    assert!(refused.contains("503") && refused.contains("Retry-After: 30"), "{refused}");
    only.is_alive().await;
}

#[tokio::test]
async fn whoever_does_not_join_in_time_has_to_leave() {
    let dir = place();
    let key = secret(&command(dir.path(), &["token", "add", "bob"]).unwrap());
    let host = server(dir.path(), &["--hello-within-sec=1"]).await;
    let mut bob = host.connect("/").await.counts_anew();
    bob.hello_with("agent:bob", api_key(&key)).await;
    let mut stranger = host.connect("/").await.counts_anew();
    assert_eq!(stranger.close_code().await, 1008);
    bob.is_alive().await;
}
