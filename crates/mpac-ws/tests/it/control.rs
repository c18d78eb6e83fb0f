//! The operator's door: who gets in.

use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::tempdir;

use crate::program_rig::{Program, run};

/// The status line of the answer to a request below `/control/`.
fn asked(program: &Program, what: &str, headers: &[&str]) -> (String, String) {
    let mut stream = TcpStream::connect(program.address).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!("GET /control/{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
}

#[test]
fn only_the_token_opens_the_door_and_nothing_is_learned_without_it() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let token = std::fs::read_to_string(data.path().join("control-token")).unwrap();
    let token = token.trim();
    let right = format!("Authorization: Bearer {token}");
    let wrong = format!("Authorization: Bearer {}", "0".repeat(64));
    let half = format!("Authorization: Bearer {}", &token[..32]);
    let refused = asked(&program, "command", &[]);
    assert_eq!(refused.0, "401");
    for (what, headers) in [
        ("command", vec![wrong.as_str()]),
        ("command", vec![half.as_str()]),
        ("command", vec!["Authorization: Basic abc"]),
        ("follow", vec![]),
        ("no-such-thing", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(asked(&program, what, &headers), refused, "{what} {headers:?}");
    }
    assert_eq!(asked(&program, "command", &[&right, "Origin: http://127.0.0.1"]).0, "403", "a page");
    assert_eq!(asked(&program, "command", &[&right]).0, "426", "no WebSocket");
    assert_eq!(asked(&program, "no-such-thing", &[&right]).0, "404");
}

#[test]
fn a_server_that_stores_nothing_has_no_door() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--durability=none"]);
    assert_eq!(asked(&program, "command", &["Authorization: Bearer "]).0, "401");
    assert!(!data.path().join("control.json").exists());
}

#[cfg(unix)]
#[test]
fn the_way_to_a_server_is_for_its_owner_and_goes_with_it() {
    use std::os::unix::fs::PermissionsExt;

    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    for file in ["control.json", "control-token"] {
        let mode = std::fs::metadata(data.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let before = std::fs::read_to_string(data.path().join("control-token")).unwrap();
    assert_eq!(program.stop(), Some(0));
    assert!(!data.path().join("control.json").exists());
    drop(Program::start(data.path(), &[]));
    let after = std::fs::read_to_string(data.path().join("control-token")).unwrap();
    assert_eq!(before, after, "a standby finds its server again");
}

#[test]
fn a_command_that_reaches_nobody_says_what_to_do() {
    let data = tempdir().unwrap();
    let dir = data.path().to_str().unwrap();
    let to = format!("{dir}/backup");
    for (args, named) in [
        (vec!["take-over", "--data-dir", dir], "mpac-ws standby"),
        (vec!["close", "--session", "x", "--data-dir", dir], "no session x"),
        (vec!["backup", "--to", &to, "--data-dir", dir], "nothing is stored"),
        (vec!["standby", "--from", "http://x", "--data-dir", dir], "ws://192.0.2.7:8766"),
        (vec!["standby", "--from", "ws://127.0.0.1:1", "--data-dir", dir], "--token-file"),
    ] {
        let output = run(&args);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        assert!(said.starts_with("error: ") && said.contains(named), "{args:?}: {said}");
    }
    assert!(!data.path().join("backup").exists(), "a mistake leaves nothing behind");
}
