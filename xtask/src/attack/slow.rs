//! Connections that take their time, so that there are none left for others.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::scene::{AUTHENTICATED, PLANTED, Scene, Stage, TLS};
use super::wire::{self, TEXT, TEXT_BEGINS, Wire, plain};
use super::{Attack, Done, ensure};
use crate::step::Failure;

/// A second for everything.
const HURRY: &[&str] = &["--handshake-within-sec", "1", "--hello-within-sec", "1"];
/// How long the server may take to hang up, with a machine that has other things to do.
const SOON: Duration = Duration::from_secs(15);
/// Ten connections, one of which is the bystander's.
const NARROW: &[&str] = &["--handshake-within-sec", "1", "--max-connections-per-address", "10"];

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "says-nothing",
        ids: &["SEC-37", "D-134"],
        answer: "hung up on, in TLS and without",
        stage: Stage { flags: HURRY, ..TLS },
        run: says_nothing,
    },
    Attack {
        name: "sends-its-request-byte-by-byte",
        ids: &["SEC-37", "D-134"],
        answer: "hung up on before the request is whole",
        stage: Stage { flags: HURRY, ..AUTHENTICATED },
        run: byte_by_byte,
    },
    Attack {
        name: "stops-in-the-middle-of-tls",
        ids: &["SEC-37", "D-134"],
        answer: "hung up on",
        stage: Stage { flags: HURRY, ..TLS },
        run: half_tls,
    },
    Attack {
        name: "never-says-hello",
        ids: &["SEC-37", "D-134"],
        answer: "1008",
        stage: Stage { flags: HURRY, ..AUTHENTICATED },
        run: never_says_hello,
    },
    Attack {
        name: "never-ends-its-frame",
        ids: &["SEC-37", "D-134"],
        answer: "1008, also between two fragments",
        stage: Stage { flags: HURRY, ..AUTHENTICATED },
        run: half_frames,
    },
    Attack {
        name: "takes-all-places",
        ids: &["SEC-37", "D-134"],
        answer: "503 with Retry-After, and room again later",
        stage: Stage { flags: NARROW, ..AUTHENTICATED },
        run: takes_all_places,
    },
];

/// That a connection is over soon.
fn is_over(what: &str, wire: &mut Wire, since: Instant) -> Done {
    wire.rest()?;
    ensure(&format!("{what}: over in time"), &(since.elapsed() < SOON), &true)
}

fn says_nothing(scene: &mut Scene) -> Done {
    let began = Instant::now();
    let mut before_tls = Wire::Plain(plain(scene.address)?);
    let mut in_tls = scene.dial()?;
    // The handshake is made with the first words, and these are half a request.
    in_tls
        .write_all(b"GET / HT")
        .and_then(|()| in_tls.flush())
        .map_err(Failure::io("send half a request"))?;
    is_over("before TLS", &mut before_tls, began)?;
    is_over("in TLS", &mut in_tls, began)
}

fn byte_by_byte(scene: &mut Scene) -> Done {
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    let mut wires = (0..20).map(|_| plain(scene.address)).collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    // A header that never ends, from all of them, as long as anybody takes it.
    for place in 0.. {
        let byte = [request.get(place).copied().unwrap_or(b'a')];
        wires.retain_mut(|wire| wire.write_all(&byte).is_ok());
        if wires.is_empty() {
            return Ok(());
        }
        ensure("that all are hung up on in time", &(began.elapsed() < SOON), &true)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn half_tls(scene: &mut Scene) -> Done {
    let began = Instant::now();
    // The head of a ClientHello of 16 KiB, and then a byte now and then.
    let mut stream = plain(scene.address)?;
    stream
        .write_all(&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3])
        .map_err(Failure::io("send a ClientHello"))?;
    while stream.write_all(&[0]).is_ok() {
        ensure("hung up on in time", &(began.elapsed() < SOON), &true)?;
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn never_says_hello(scene: &mut Scene) -> Done {
    let mut silent = scene.stranger("agent:eve")?;
    let mut busy = scene.stranger("agent:mallory")?;
    let began = Instant::now();
    // Being busy is not being in.
    loop {
        let asked = busy.send(&json!({"type": "FILE_LIST", "path": PLANTED}).to_string());
        if asked.is_err() || began.elapsed() > Duration::from_secs(2) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure("the silent one", &silent.socket.end()?, &1008)?;
    ensure("the busy one", &busy.socket.end()?, &1008)?;
    ensure("in time", &(began.elapsed() < SOON), &true)
}

fn half_frames(scene: &mut Scene) -> Done {
    let halves: [(&str, Vec<u8>); 4] = [
        ("half a head", vec![TEXT]),
        ("a head without a body", wire::header(TEXT, 100_000)),
        ("half a body", [wire::header(TEXT, 100), vec![0; 50]].concat()),
        ("a first fragment", wire::frame(TEXT_BEGINS, b"{")),
    ];
    let mut strangers = Vec::new();
    for (what, bytes) in halves {
        let mut eve = scene.stranger("agent:eve")?;
        eve.socket.raw(&bytes).map_err(Failure::io("send half a frame"))?;
        strangers.push((what, eve));
    }
    for (what, mut eve) in strangers {
        ensure(what, &eve.socket.end()?, &1008)?;
    }
    Ok(())
}

fn takes_all_places(scene: &mut Scene) -> Done {
    let mut taken = (0..9).map(|_| plain(scene.address)).collect::<Result<Vec<_>, _>>()?;
    let mut tenth = Wire::Plain(plain(scene.address)?);
    let answer = String::from_utf8_lossy(&tenth.rest()?).into_owned();
    let is_told = answer.starts_with("HTTP/1.1 503") && answer.contains("Retry-After: ");
    ensure(&answer, &is_told, &true)?;
    // They are hung up on, and then there is room for somebody who wants to work.
    for stream in taken.drain(..) {
        Wire::Plain(stream).rest()?;
    }
    scene.member("agent:bob").map(drop)
}
