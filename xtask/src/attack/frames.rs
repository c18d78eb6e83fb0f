//! The WebSocket protocol, broken in every way that RFC 6455 names.

use std::io::Write;

use serde_json::json;

use super::scene::{OPEN, PLANTED, Scene, Stage};
use super::wire::{self, CLOSE, GOES_ON, Heard, PING, Socket, TEXT, TEXT_BEGINS};
use super::{Attack, Done, ensure};
use crate::step::Failure;

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "compresses",
        ids: &["D-134"],
        answer: "not negotiated; 1002 for who does it all the same",
        stage: OPEN,
        run: compresses,
    },
    Attack {
        name: "breaks-the-frame-format",
        ids: &["SRV-10"],
        answer: "1002",
        stage: OPEN,
        run: breaks_frames,
    },
    Attack {
        name: "sends-text-that-is-none",
        ids: &["SRV-10"],
        answer: "1007, overlong forms and surrogates too",
        stage: OPEN,
        run: no_utf8,
    },
    Attack {
        name: "sends-bytes-that-are-no-text",
        ids: &["D-025"],
        answer: "MALFORMED_MESSAGE",
        stage: OPEN,
        run: no_text,
    },
    Attack {
        name: "says-that-a-frame-is-endless",
        ids: &["SRV-10", "D-134"],
        answer: "1009, before a byte of it is read",
        stage: OPEN,
        run: endless,
    },
    Attack {
        name: "hides-a-second-request",
        ids: &["SRV-10"],
        answer: "400, or it is never answered",
        stage: OPEN,
        run: smuggles,
    },
    Attack {
        name: "asks-for-too-much-in-its-handshake",
        ids: &["D-134"],
        answer: "no WebSocket, and the connection ends",
        stage: Stage { flags: &["--handshake-within-sec", "1"], ..OPEN },
        run: handshakes,
    },
];

fn compresses(scene: &mut Scene) -> Done {
    for offer in
        ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame"]
    {
        let header = format!("Sec-WebSocket-Extensions: {offer}");
        let (mut socket, head) = Socket::open(scene.dial()?, "/", &[&header])?;
        ensure(offer, &head.to_lowercase().contains("sec-websocket-extensions"), &false)?;
        // A compressed megabyte of nothing, as if it had been agreed.
        let bomb =
            [0x78, 0x9c, 0xed, 0xc1, 0x01, 0x0d, 0x00, 0x00, 0x00, 0xc2, 0xa0, 0xf7, 0x4f, 0x6d, 0x0e, 0x37];
        socket.frame(TEXT | 0x40, &bomb).map_err(Failure::io("send a compressed frame"))?;
        ensure(offer, &socket.end()?, &1002)?;
    }
    Ok(())
}

/// What comes of these bytes on a connection of their own.
fn end_of(scene: &Scene, bytes: &[u8]) -> Result<u16, Failure> {
    let (mut socket, _) = Socket::open(scene.dial()?, "/", &[])?;
    // The server may have hung up before it has all of it.
    let _ = socket.raw(bytes);
    socket.end()
}

fn breaks_frames(scene: &mut Scene) -> Done {
    let two = |first: (u8, &[u8]), second: (u8, &[u8])| {
        [wire::frame(first.0, first.1), wire::frame(second.0, second.1)].concat()
    };
    let long = [0; 126];
    let cases: [(&str, Vec<u8>); 14] = [
        ("without a mask", [&[TEXT, 5][..], b"hello"].concat()),
        ("the first reserved bit", wire::frame(TEXT | 0x40, b"{}")),
        ("the second reserved bit", wire::frame(TEXT | 0x20, b"{}")),
        ("the third reserved bit", wire::frame(TEXT | 0x10, b"{}")),
        ("a kind of data that does not exist", wire::frame(0x83, b"{}")),
        ("a kind of control that does not exist", wire::frame(0x8b, b"")),
        ("a ping in fragments", wire::frame(PING & 0x7f, b"x")),
        ("a ping that is too long", wire::frame(PING, &long)),
        ("a close that is too long", wire::frame(CLOSE, &long)),
        ("a continuation of nothing", wire::frame(0x80, b"{}")),
        ("a text within a text", two((TEXT_BEGINS, b"{"), (TEXT, b"{}"))),
        ("half a close code", wire::frame(CLOSE, &[3])),
        ("a length that is negative", wire::header(TEXT, u64::MAX)),
        ("rubbish", vec![0xff; 64]),
    ];
    for (what, bytes) in cases {
        let code = end_of(scene, &bytes)?;
        // Longer than any frame may be is one more way to say it.
        let is_right = code == 1002 || what.contains("length") && code == 1009;
        ensure(&format!("{what}: {code}"), &is_right, &true)?;
    }
    Ok(())
}

fn no_utf8(scene: &mut Scene) -> Done {
    let texts: [(&str, &[u8]); 6] = [
        ("a slash of two bytes", b"{\"type\":\"FILE_READ\",\"path\":\"..\xc0\xafx\"}"),
        ("a dot of three bytes", b"\xe0\x80\xae"),
        ("half a surrogate pair", b"\xed\xa0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("half a character", b"\xe2\x82"),
        ("a byte that is never one", b"\xff"),
    ];
    for (what, text) in texts {
        ensure(what, &end_of(scene, &wire::frame(TEXT, text))?, &1007)?;
        let half = text.len() / 2;
        let fragments = [wire::frame(TEXT_BEGINS, &text[..half]), wire::frame(0x80, &text[half..])].concat();
        ensure(&format!("{what}, in fragments"), &end_of(scene, &fragments)?, &1007)?;
    }
    Ok(())
}

fn no_text(scene: &mut Scene) -> Done {
    let mut eve = scene.stranger("agent:eve")?;
    for bytes in [&b"\xff\xfe{}"[..], b"..\xc0\xaf", b"\0\0\0\0"] {
        eve.socket.frame(0x82, bytes).map_err(Failure::io("send bytes"))?;
        let answer = eve.until(|frame| frame["message_type"] == "PROTOCOL_ERROR")?;
        ensure("the answer", &answer["payload"]["error_code"], &json!("MALFORMED_MESSAGE"))?;
    }
    // Nobody is put out for that: the same connection may join.
    ensure("HELLO", &eve.hello(&serde_json::Value::Null)?, "SESSION_INFO")
}

fn endless(scene: &mut Scene) -> Done {
    for length in [8 << 20, 1 << 32, 1 << 40, (1 << 63) - 1] {
        ensure(&format!("{length} bytes"), &end_of(scene, &wire::header(TEXT, length))?, &1009)?;
    }
    // The same in pieces: a message of eight megabytes, none of whose fragments is large.
    let mut bytes = wire::frame(TEXT_BEGINS, &[b' '; 65_536]);
    for _ in 0..128 {
        bytes.extend(wire::frame(GOES_ON, &[b' '; 65_536]));
    }
    ensure("in fragments", &end_of(scene, &bytes)?, &1009)
}

fn smuggles(scene: &mut Scene) -> Done {
    let requests: [&str; 4] = [
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /planted HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /control/command HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ];
    for request in requests {
        let mut wire = scene.dial()?;
        wire.write_all(request.as_bytes()).map_err(Failure::io("ask"))?;
        let answer = String::from_utf8_lossy(&wire.rest()?).into_owned();
        ensure(
            &format!("answers to {request:?}: {answer}"),
            &(answer.matches("HTTP/1.1 ").count() <= 1),
            &true,
        )?;
        ensure(&answer, &answer.contains(PLANTED), &false)?;
    }
    Ok(())
}

fn handshakes(scene: &mut Scene) -> Done {
    let many: String = (0..2000).map(|count| format!("X-{count}: x\r\n")).collect();
    let heads = [
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1_000_000)),
        format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1_000_000)),
        format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 12\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\r\n\r\n\r\n".repeat(100),
        "\0\x01\x02\x03".to_owned(),
    ];
    for head in heads {
        let mut wire = scene.dial()?;
        // The server may have hung up before it has all of it.
        let _ = wire.write_all(head.as_bytes());
        let answer = String::from_utf8_lossy(&wire.rest()?).into_owned();
        let is_refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5");
        let begins: String = head.chars().take(40).collect();
        ensure(&format!("{begins:?}: {answer}"), &is_refused, &true)?;
    }
    let mut quiet = scene.stranger("agent:eve")?;
    quiet.socket.frame(PING, b"x").map_err(Failure::io("ping"))?;
    ensure("a polite one", &quiet.socket.next()?, &Heard::Pong)
}
