//! Asking for less protection than there is.

use std::io::Write;

use serde_json::{Value, json};

use super::member::{announcement, api_key, hello};
use super::scene::{AUTHENTICATED, OPEN, PLANTED, Scene, TLS};
use super::wire::{Wire, plain};
use super::{Attack, Done, ensure};
use crate::step::{self, Failure};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "asks-for-the-open-profile",
        ids: &["SEC-01", "SEC-06"],
        answer: "CREDENTIAL_REJECTED",
        stage: AUTHENTICATED,
        run: asks_for_open,
    },
    Attack {
        name: "asks-for-more-than-its-key-grants",
        ids: &["ROL-08", "ROL-06"],
        answer: "granted less, then AUTHORIZATION_FAILED",
        stage: AUTHENTICATED,
        run: asks_for_roles,
    },
    Attack {
        name: "speaks-an-old-tls",
        ids: &["SEC-37"],
        answer: "the alert protocol_version to SSL 3, TLS 1.0 and 1.1",
        stage: TLS,
        run: old_tls,
    },
    Attack {
        name: "speaks-http-to-tls",
        ids: &["SEC-37"],
        answer: "no word of HTTP",
        stage: TLS,
        run: http_to_tls,
    },
    Attack {
        name: "speaks-another-version",
        ids: &["ENV-04"],
        answer: "VERSION_MISMATCH",
        stage: AUTHENTICATED,
        run: other_versions,
    },
    Attack {
        name: "starts-the-session-again-as-an-open-one",
        ids: &["SEC-01", "REC-11"],
        answer: "the server does not start, and names the profile",
        stage: AUTHENTICATED,
        run: starts_as_open,
    },
    Attack {
        name: "opens-an-open-session-to-the-network",
        ids: &["SEC-37"],
        answer: "the server does not start, and names the flags",
        stage: OPEN,
        run: open_to_all,
    },
    Attack {
        name: "knocks-at-the-operators-door",
        ids: &["SEC-41"],
        answer: "401, and 403 for web pages",
        stage: AUTHENTICATED,
        run: operators_door,
    },
];

fn asks_for_open(scene: &mut Scene) -> Done {
    for credential in [
        Value::Null,
        json!({}),
        json!({"type": "none"}),
        json!({"type": "api_key", "value": ""}),
        json!({"type": "open", "value": "x"}),
        json!({"type": "mtls_fingerprint", "value": "00"}),
        json!({"type": "x509_chain", "value": "-----BEGIN CERTIFICATE-----"}),
    ] {
        let mut eve = scene.stranger("agent:eve")?;
        let mut payload = hello(&credential);
        payload["security_profile"] = "open".into();
        payload["identity_verified"] = true.into();
        payload["extensions"] = json!({"mpac": {"security_profile": "open"}});
        let code = eve.say("HELLO", &payload)?;
        ensure(&credential.to_string(), &code, "CREDENTIAL_REJECTED")?;
    }
    Ok(())
}

fn asks_for_roles(scene: &mut Scene) -> Done {
    let key = scene.key("eve", &["--role", "observer"])?;
    let mut eve = scene.stranger("agent:eve")?;
    let mut payload = hello(&api_key(&key));
    payload["roles"] = json!(["arbiter", "owner", "contributor", "observer"]);
    let message = eve.envelope("HELLO", &payload);
    eve.send(&message.to_string())?;
    let info = eve.until(|frame| frame["message_type"] == "SESSION_INFO")?;
    ensure("the roles", &info["payload"]["granted_roles"], &json!(["observer"]))?;
    let code = eve.say("INTENT_ANNOUNCE", &announcement(PLANTED, "shared.txt"))?;
    ensure("her announcement", &code, "AUTHORIZATION_FAILED")?;
    // Nor by asking once more.
    payload["roles"] = json!(["contributor"]);
    let code = eve.say("HELLO", &payload)?;
    ensure("her second HELLO", &code, "AUTHORIZATION_FAILED")
}

/// A ClientHello of this version and no newer one.
fn client_hello(minor: u8) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([7; 32]); // random
    body.push(0); // no session
    body.extend([0, 4, 0xc0, 0x2f, 0x00, 0x2f]); // two cipher suites
    body.extend([1, 0]); // no compression
    // What every newer client says, so that only the version is wrong: a signature and a group.
    body.extend([0, 16, 0, 13, 0, 4, 0, 2, 8, 4, 0, 10, 0, 4, 0, 2, 0, 29]);
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut handshake = vec![1, 0, 0, length];
    handshake.extend(body);
    let mut record = vec![22, 3, minor.min(1), 0, length + 4];
    record.extend(handshake);
    record
}

fn old_tls(scene: &mut Scene) -> Done {
    for minor in [0, 1, 2] {
        let mut wire = Wire::Plain(plain(scene.address)?);
        wire.write_all(&client_hello(minor)).map_err(Failure::io("send a ClientHello"))?;
        let answer = wire.rest()?;
        ensure("the kind of record", &answer.first().copied(), &Some(21))?;
        ensure(&format!("the alert to 3.{minor}"), answer.get(5..7).unwrap_or_default(), &[2, 70])?;
    }
    Ok(())
}

fn http_to_tls(scene: &mut Scene) -> Done {
    let mut wire = Wire::Plain(plain(scene.address)?);
    wire.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .map_err(Failure::io("send a request"))?;
    let answer = wire.rest()?;
    let is_alert = answer.is_empty() || answer.len() == 7 && answer[0] == 21;
    ensure(&format!("an alert at the most: {answer:?}"), &is_alert, &true)
}

fn other_versions(scene: &mut Scene) -> Done {
    let key = scene.key("eve", &[])?;
    for version in ["0.0.1", "1.0.0", "0.2.0", "2"] {
        let mut eve = scene.stranger("agent:eve")?;
        let mut message = eve.envelope("HELLO", &hello(&api_key(&key)));
        message["version"] = version.into();
        ensure(version, &eve.told(&message)?, "VERSION_MISMATCH")?;
    }
    Ok(())
}

fn starts_as_open(scene: &mut Scene) -> Done {
    let copy = scene.path("data/copy");
    step::copy_folder(&scene.path("data/sessions"), &copy.join("sessions"))?;
    for name in ["id.json", "keys.toml"] {
        std::fs::copy(scene.path("data").join(name), copy.join(name))
            .map_err(Failure::io(format!("copy {name}")))?;
    }
    let mut open = scene.command(&["--port", "0"]);
    open.arg("--workspace").arg(scene.path("share")).arg("--data-dir").arg(&copy);
    let said = refusal(&mut open)?;
    std::fs::remove_dir_all(&copy).map_err(Failure::io("remove the copy"))?;
    ensure(&said, &said.contains("security_profile"), &true)
}

fn open_to_all(scene: &mut Scene) -> Done {
    let elsewhere = scene.path("data/elsewhere");
    let mut server = scene.command(&["--host", "0.0.0.0", "--port", "0"]);
    let said = refusal(server.arg("--data-dir").arg(&elsewhere))?;
    for flag in ["--security-profile authenticated", "--insecure-open"] {
        ensure(&said, &said.contains(flag), &true)?;
    }
    Ok(())
}

/// What a server says that has to refuse to start.
fn refusal(command: &mut std::process::Command) -> Result<String, Failure> {
    let mut server = crate::peer::Peer::start("a server that must not start", command, None)?;
    let status = server.wait_end(super::wire::ANSWER)?;
    ensure("that it failed", &status.success(), &false)?;
    Ok(server.tail(5))
}

fn operators_door(scene: &mut Scene) -> Done {
    let ask = |path: &str, headers: &str| {
        let mut wire = scene.dial()?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        wire.write_all(request.as_bytes()).map_err(Failure::io("ask"))?;
        // Whoever is let in would keep the connection; a refusal can be read as a line.
        let mut line = vec![0; 12];
        std::io::Read::read_exact(&mut wire, &mut line).map_err(Failure::io("read an answer"))?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    };
    let token =
        std::fs::read_to_string(scene.path("data/control-token")).map_err(Failure::io("read the token"))?;
    let near: String = token.trim().chars().rev().collect();
    for path in ["/control/command", "/control/follow", "/control/", "/control/../control/command"] {
        for guess in ["", "Authorization: Bearer \r\n", "Authorization: Basic eDp4\r\n"] {
            ensure(path, ask(path, guess)?.as_str(), "HTTP/1.1 401")?;
        }
        ensure(path, ask(path, &format!("Authorization: Bearer {near}\r\n"))?.as_str(), "HTTP/1.1 401")?;
        let page = format!("Origin: http://evil.example\r\nAuthorization: Bearer {}\r\n", token.trim());
        ensure(path, ask(path, &page)?.as_str(), "HTTP/1.1 403")?;
    }
    let page = ask("/", "Origin: http://evil.example\r\n")?;
    ensure("a web page that joins", page.as_str(), "HTTP/1.1 403")
}
