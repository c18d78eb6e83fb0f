//! Messages that cost more than they look, or that one reader takes for something else than another.

use serde_json::{Value, json};

use super::member::{ACCEPTED, announcement, api_key, hello};
use super::scene::{AUTHENTICATED, OPEN, PLANTED, Scene, Stage};
use super::{Attack, Done, ensure};

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "nests-without-end",
        ids: &["D-134", "D-025"],
        answer: "MALFORMED_MESSAGE beyond 128 levels, anywhere",
        stage: OPEN,
        run: nests,
    },
    Attack {
        name: "writes-endless-numbers",
        ids: &["D-028", "D-025"],
        answer: "MALFORMED_MESSAGE",
        stage: OPEN,
        run: numbers,
    },
    Attack {
        name: "repeats-members",
        ids: &["D-015", "SEC-04"],
        answer: "the last one counts, for everybody who looks",
        stage: Stage { allowed: &["agent:eve"], ..AUTHENTICATED },
        run: repeats,
    },
    Attack {
        name: "repeats-members-of-a-credential",
        ids: &["SEC-08", "PRV-05"],
        answer: "CREDENTIAL_REJECTED, and no secret stays",
        stage: AUTHENTICATED,
        run: repeats_credentials,
    },
    Attack {
        name: "sends-giant-texts-and-lists",
        ids: &["D-134"],
        answer: "MALFORMED_MESSAGE",
        stage: OPEN,
        run: giants,
    },
    Attack {
        name: "writes-half-characters",
        ids: &["D-025", "SEC-24"],
        answer: "MALFORMED_MESSAGE",
        stage: OPEN,
        run: half_characters,
    },
    Attack {
        name: "writes-patterns-that-explode",
        ids: &["D-134", "SCO-08"],
        answer: "accepted or refused, within a second",
        stage: Stage { allowed: &["agent:eve", "service:coordinator-default"], ..OPEN },
        run: patterns,
    },
    Attack {
        name: "writes-what-is-no-message",
        ids: &["D-025"],
        answer: "MALFORMED_MESSAGE",
        stage: OPEN,
        run: no_messages,
    },
];

fn nests(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    for depth in [128, 1_000, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if close == "]" { "" } else { "1" };
            let nest = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            ensure("a nest alone", eve.refused(&nest)?.as_str(), "MALFORMED_MESSAGE")?;
            for place in ["payload", "extensions", "watermark", "sender", "planted"] {
                let mut message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
                message[place] = "NEST".into();
                let text = message.to_string().replacen("\"NEST\"", &format!("{{\"a\":{nest}}}"), 1);
                let code = eve.refused(&text)?;
                ensure(&format!("{depth} levels in {place}"), code.as_str(), "MALFORMED_MESSAGE")?;
            }
        }
        // Twenty bad frames in a minute are too many on one connection.
        eve.socket.cut();
        eve = scene.member(&format!("agent:eve-{depth}"))?;
    }
    // Unclosed, so that a reader which counts only at the end never does.
    ensure("an open nest", eve.refused(&"[".repeat(1_000_000))?.as_str(), "MALFORMED_MESSAGE")
}

fn numbers(scene: &mut Scene) -> Done {
    let digits = "9".repeat(200_000);
    let spellings = [
        digits.clone(),
        format!("1e{digits}"),
        format!("0.{digits}"),
        "1e400".to_owned(),
        "-1".to_owned(),
        "1.5".to_owned(),
        "9007199254740993".to_owned(),
        "18446744073709551616".to_owned(),
        "NaN".to_owned(),
        "-Infinity".to_owned(),
        "0x10".to_owned(),
        "007".to_owned(),
        "1_000".to_owned(),
        "true".to_owned(),
        "\"7\"".to_owned(),
    ];
    let mut eve = scene.member("agent:eve")?;
    for spelling in spellings {
        let mut message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
        message["watermark"]["value"] = "NUMBER".into();
        let text = message.to_string().replace("\"NUMBER\"", &spelling);
        let shown: String = spelling.chars().take(20).collect();
        ensure(&shown, eve.refused(&text)?.as_str(), "MALFORMED_MESSAGE")?;
    }
    Ok(())
}

/// A text of an object with one more member in front, or behind.
fn with(object: &Value, member: &str, in_front: bool) -> String {
    let text = object.to_string();
    if in_front {
        text.replacen('{', &format!("{{{member},"), 1)
    } else {
        format!("{},{member}}}", &text[..text.len() - 1])
    }
}

fn repeats(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let anns =
        json!({"principal_id": "agent:ann", "principal_type": "agent", "sender_instance_id": "agent:ann:1"});
    let sender = format!("\"sender\":{anns}");
    // Last: she speaks for Ann. First: she speaks for herself, and that is what everybody reads.
    let message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
    ensure("hers last", eve.refused(&with(&message, &sender, false))?.as_str(), "AUTHORIZATION_FAILED")?;
    let escaped = format!("\"s\\u0065nder\":{anns}");
    let message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
    ensure("in escapes", eve.refused(&with(&message, &escaped, false))?.as_str(), "AUTHORIZATION_FAILED")?;
    let message = eve.envelope("INTENT_ANNOUNCE", &announcement("eves", "eves.txt"));
    let (id, text) = (message["message_id"].clone(), with(&message, &sender, true));
    eve.send(&text)?;
    let echo = eve.until(|frame| frame["message_id"] == id || frame["payload"]["refers_to"] == id)?;
    ensure("her own last", &echo["sender"]["principal_id"], &json!("agent:eve"))?;
    // A message that is of another type for whoever reads its first type only.
    let message = eve.envelope("HEARTBEAT", &json!({"status": "idle", "reason": PLANTED}));
    let code = eve.refused(&with(&message, "\"message_type\":\"SESSION_CLOSE\"", false))?;
    ensure("two types", code.as_str(), "AUTHORIZATION_FAILED")
}

fn repeats_credentials(scene: &mut Scene) -> Done {
    let (bobs, eves) = (scene.key("bob", &[])?, scene.key("eve", &[])?);
    let pairs =
        [("credential", &eves, &bobs), ("credential", &bobs, &eves), ("cred\\u0065ntial", &bobs, &eves)];
    for (member, first, last) in pairs {
        let mut eve = scene.stranger("agent:bob")?;
        eve.instance = format!("{member}-{first}-{last}").replace("mpac_", "");
        let message = eve.envelope("HELLO", &hello(&api_key(first)));
        let more = format!("\"{member}\":{}", api_key(last));
        let payload = with(&message["payload"], &more, false);
        let text = message.to_string().replace(&message["payload"].to_string(), &payload);
        eve.send(&text)?;
        let answer = eve.until(|frame| {
            frame["message_type"] == "SESSION_INFO" || !frame["payload"]["error_code"].is_null()
        })?;
        // The last one is what was shown, and it is his or it is not.
        let should = if last == &bobs { json!(null) } else { json!("CREDENTIAL_REJECTED") };
        ensure(member, &answer["payload"]["error_code"], &should)?;
    }
    // Both are gone from what is stored, whichever was read.
    for path in crate::step::files_below(&scene.path("data"))? {
        let bytes = std::fs::read(scene.path("data").join(&path))
            .map_err(crate::step::Failure::io("read the data"))?;
        let text = String::from_utf8_lossy(&bytes);
        for secret in [&bobs, &eves] {
            ensure(&format!("a secret in {}", path.display()), &text.contains(secret.as_str()), &false)?;
        }
    }
    Ok(())
}

fn giants(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let long = "x".repeat(257);
    for member in ["message_id", "session_id"] {
        let mut message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
        message[member] = long.as_str().into();
        ensure(member, eve.refused(&message.to_string())?.as_str(), "MALFORMED_MESSAGE")?;
    }
    let mut message = eve.envelope("HEARTBEAT", &json!({"status": "idle"}));
    message["sender"]["principal_id"] = long.as_str().into();
    ensure("a name", eve.refused(&message.to_string())?.as_str(), "MALFORMED_MESSAGE")?;
    let many: Vec<String> = (0..10_001).map(|count| count.to_string()).collect();
    let scopes = [
        json!({"kind": "file_set", "resources": many}),
        json!({"kind": "file_set", "resources": ["x".repeat(5_000)]}),
        json!({"kind": "resource_path", "pattern": "x".repeat(600)}),
        json!({"kind": "file_set", "resources": ["a"], "extensions": {"x": many}}),
    ];
    for scope in scopes {
        let payload = json!({"intent_id": PLANTED, "objective": "x", "scope": scope});
        ensure("a scope", &eve.say("INTENT_ANNOUNCE", &payload)?, "MALFORMED_MESSAGE")?;
    }
    let mut greedy = scene.stranger("agent:greedy")?;
    let mut payload = hello(&Value::Null);
    payload["roles"] = json!(many);
    ensure("roles", &greedy.say("HELLO", &payload)?, "MALFORMED_MESSAGE")
}

fn half_characters(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    for half in
        ["\\ud800", "\\udc00", "\\ud800\\ud800", "\\udc00\\ud800", "\\uD83D", "\\u12", "\\x41", "\\u{41}"]
    {
        let mut message = eve.envelope("INTENT_ANNOUNCE", &announcement("HALF", "shared.txt"));
        message["payload"]["objective"] = PLANTED.into();
        let text = message.to_string().replace("HALF", half);
        ensure(half, eve.refused(&text)?.as_str(), "MALFORMED_MESSAGE")?;
    }
    // A whole pair is a character.
    let message = eve.envelope("HEARTBEAT", &json!({"status": "PAIR"}));
    eve.send(&message.to_string().replace("PAIR", "\\ud83d\\ude00"))?;
    eve.settle()
}

fn patterns(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let patterns = [
        "*a".repeat(250),
        "**/".repeat(160) + "a",
        "{a,b}".repeat(100),
        "[a-z]*".repeat(80),
        "?*".repeat(250),
        "{".repeat(500),
        "[".repeat(500),
        "{a,{b,{c,{d,{e,{f".repeat(20),
    ];
    for (count, pattern) in patterns.iter().enumerate() {
        let scope = json!({"kind": "resource_path", "pattern": pattern});
        let payload = json!({"intent_id": format!("i{count}"), "objective": "x", "scope": scope});
        let began = std::time::Instant::now();
        let said = eve.say("INTENT_ANNOUNCE", &payload)?;
        let is_right = said == ACCEPTED || said == "MALFORMED_MESSAGE";
        ensure(&format!("{pattern}: {said}"), &is_right, &true)?;
        ensure("in time", &(began.elapsed() < std::time::Duration::from_secs(5)), &true)?;
    }
    Ok(())
}

fn no_messages(scene: &mut Scene) -> Done {
    let texts = [
        "",
        " ",
        "null",
        "7",
        "\"HELLO\"",
        "[]",
        "{}",
        "{\"type\":7}",
        "{\"message_type\":null}",
        "{\"type\":\"planted\"}",
        "{\"message_type\":\"HELLO\"}",
        "{} {}",
        "{}}",
        "{\"a\":1,}",
        "{'a':1}",
        "// x\n{}",
        "\u{feff}{}",
        "\0",
    ];
    let mut eve = scene.member("agent:eve")?;
    for text in texts {
        ensure(text, eve.refused(text)?.as_str(), "MALFORMED_MESSAGE")?;
    }
    eve.settle()
}
