//! What one connection may cost, and that the others do not pay for it.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::covers;
use crate::rig::{host, kind_of, patiently};

#[tokio::test]
async fn a_frame_of_the_limit_is_read_and_one_byte_more_closes_with_1009() {
    covers!("SRV-10", "D-134");
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    client.send("x".repeat(1_048_576)).await;
    assert_eq!(client.next().await["payload"]["error_code"], "MALFORMED_MESSAGE");
    client.send("x".repeat(1_048_577)).await;
    assert_eq!(client.close_code().await, 1009);
    let mut other = host.join("agent:bob").await;
    other.is_alive().await;
}

#[tokio::test]
async fn a_binary_frame_over_the_limit_closes_with_1009_text_or_not() {
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    client.frame(Message::Binary(vec![0xff; 2_000_000].into())).await;
    assert_eq!(client.close_code().await, 1009);
}

/// A frame of a client, whose mask changes nothing.
fn masked(head: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).unwrap();
    [&[head, 0x80 | length, 0, 0, 0, 0], bytes].concat()
}

/// The head and the content of the next frame that the server sends, none of which is large here.
async fn unmasked(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let [head, length] = [socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap()];
    let length = if length == 126 { socket.read_u16().await.unwrap() } else { length.into() };
    let mut bytes = vec![0; length.into()];
    socket.read_exact(&mut bytes).await.unwrap();
    (head, bytes)
}

#[tokio::test]
async fn a_message_of_fragments_costs_its_bytes_and_one_of_nothing_is_no_way_to_send_without_end() {
    covers!("SEC-37", "D-134");
    const TEXT: u8 = 0x81;
    let host = host(&["--max-frame-bytes=4096"]).await;
    let mut socket = TcpStream::connect(host.address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(patiently(socket.read_u8()).await.unwrap());
    }
    // The largest message there may be, a byte at a time, with a ping here and there: each is one message.
    let mut legal = masked(0x01, b"x");
    for n in 1..4095 {
        legal.extend(masked(0x00, b"x"));
        if n % 100 == 0 {
            legal.extend(masked(0x89, &[b'p'; 125]));
        }
    }
    legal.extend(masked(0x80, b"x"));
    for _ in 0..3 {
        socket.write_all(&legal).await.unwrap();
        let (head, bytes) = loop {
            let frame = patiently(unmasked(&mut socket)).await;
            if frame.0 != 0x8a {
                break frame;
            }
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(head == TEXT && text.contains("MALFORMED_MESSAGE"), "{head:x} {text}");
    }
    let nothing = [masked(0x01, b"{"), masked(0x00, b"").repeat(10_000)].concat();
    // It may hang up before it has read all of that.
    let _ = socket.write_all(&nothing).await;
    let (head, bytes) = patiently(unmasked(&mut socket)).await;
    assert_eq!((head, u16::from_be_bytes([bytes[0], bytes[1]])), (0x88, 1009));
    host.join("agent:bob").await.is_alive().await;
}

#[tokio::test]
async fn more_messages_than_the_rate_allows_close_with_1008() {
    let host = host(&["--rate-per-sec=1", "--rate-burst=5"]).await;
    let mut client = host.connect("/").await;
    for _ in 0..7 {
        client.send(r#"{"type":"FILE_LIST"}"#).await;
    }
    let (kinds, code) = client.rest().await;
    assert_eq!(code, 1008);
    assert!(kinds.len() <= 5, "{} answers", kinds.len());
}

#[tokio::test]
async fn a_slow_reader_is_disconnected_and_the_others_get_everything() {
    covers!("SRV-08");
    const FRAMES: usize = 300;
    let host = host(&["--queue-frames=20"]).await;
    let mut slow = host.connect_with("/", Some(8 * 1024)).await;
    slow.hello("agent:slow").await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    let objective = "x".repeat(60_000);
    for n in 0..FRAMES {
        let scope = json!({"kind": "file_set", "resources": [format!("{n}.py")]});
        alice
            .say(
                "INTENT_ANNOUNCE",
                json!({"intent_id": format!("i-{n}"), "objective": objective, "scope": scope}),
            )
            .await;
        // Both read along, so that only one of the three is slow, however busy the machine is.
        alice.until("INTENT_ANNOUNCE").await;
        bob.until("INTENT_ANNOUNCE").await;
    }
    let (kinds, code) = slow.rest().await;
    assert_eq!(code, 1008);
    assert!(kinds.len() < FRAMES, "{} frames", kinds.len());
    bob.is_alive().await;
    alice.is_alive().await;
}

#[tokio::test]
async fn a_file_whose_answer_fits_into_no_frame_is_too_large() {
    covers!("SRV-18", "D-134");
    let host = host(&["--max-frame-bytes=8192"]).await;
    let mut alice = host.join("agent:alice").await;
    // Just small enough to come in; the path is in the answer too, and a longer one than in the commit makes it too large.
    let content = "x".repeat(7_000);
    let before = mpac_wire::StateRef::of("");
    let payload = json!({
        "op_id": "op-1", "target": "a.txt", "op_kind": "replace", "state_ref_before": before.as_str(),
        "state_ref_after": mpac_wire::StateRef::of(&content).as_str(),
        "file_changes": {"a.txt": {"content": content, "state_ref_before": before.as_str()}},
    });
    alice.say("OP_COMMIT", payload).await;
    alice.until("FILE_UPDATED").await;
    for (path, answer) in
        [("a.txt".to_owned(), "FILE_CONTENT"), (format!("{}a.txt", "./".repeat(1000)), "FILE_ERROR")]
    {
        alice.send(json!({"type": "FILE_READ", "path": path}).to_string()).await;
        assert_eq!(kind_of(&alice.next().await), answer);
    }
}

#[tokio::test]
async fn pings_of_a_client_are_answered() {
    use futures::StreamExt;
    let host = host(&[]).await;
    let mut client = host.connect("/").await;
    client.frame(Message::Ping("x".into())).await;
    assert_eq!(client.socket.next().await.unwrap().unwrap(), Message::Pong("x".into()));
}

#[test]
fn without_flags_the_limits_are_those_that_the_specification_gives() {
    use clap::Parser as _;
    covers!("SRV-08", "SRV-10", "SES-02", "D-134");
    let settings = mpac_ws::cli::Settings::try_parse_from(["mpac-ws"]).unwrap();
    assert_eq!((settings.queue_frames, settings.max_sessions), (10_000, 1_000));
    assert_eq!((settings.rate_per_sec, settings.rate_burst, settings.max_frame_bytes), (200, 400, 1 << 20));
}
