//! What is not a WebSocket connection, or must not become one.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::rig::{Host, host, patiently};

/// Everything that comes until the server hangs up.
async fn get(host: &Host, path: &str) -> String {
    asked(host, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host.address)).await
}

async fn asked(host: &Host, request: &str) -> String {
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn the_health_check_says_ok() {
    let host = host(&[]).await;
    let answer = get(&host, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
}

#[tokio::test]
async fn a_browser_is_told_what_this_is() {
    let host = host(&[]).await;
    let answer = get(&host, "/").await;
    assert!(answer.starts_with("HTTP/1.1 426") && answer.contains("MPAC coordinator"), "{answer}");
}

#[tokio::test]
async fn nobody_keeps_a_connection_by_a_request_that_was_refused() {
    let host = host(&[]).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
        dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (status, path, headers) in [
        (200, "/healthz", ""),
        (426, "/", ""),
        (401, "/control/command", upgrade),
        (401, "/control/none", ""),
        (403, "/control/command", "Origin: https://elsewhere.example\r\n"),
        (403, "/", &*format!("{upgrade}Origin: https://elsewhere.example\r\n")),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", host.address);
        let answer = asked(&host, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
}

/// The status of a handshake that a page of `origin` makes; 101 is a connection.
async fn from_page(host: &Host, origin: &str) -> u16 {
    let stream = TcpStream::connect(host.address).await.unwrap();
    let mut request = format!("ws://{}/", host.address).into_client_request().unwrap();
    request.headers_mut().insert("Origin", origin.parse().unwrap());
    match client_async(request, stream).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn web_pages_connect_only_from_origins_that_are_allowed() {
    let host = host(&["--allow-origin", "https://team.example"]).await;
    assert_eq!(from_page(&host, "https://elsewhere.example").await, 403);
    assert_eq!(from_page(&host, "https://team.example").await, 101);
}
