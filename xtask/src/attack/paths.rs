//! Ways out of the workspace and of the data directory, in every field that names a file.

use std::path::Path;

use mpac_wire::StateRef;
use serde_json::{Value, json};

use super::member::{ACCEPTED, Member};
use super::scene::{AUTHENTICATED, OPEN, PLANTED, Scene, Stage, write};
use super::wire::{Socket, Wire};
use super::{Attack, Done, ensure};
use crate::step::Failure;

/// Commits reach the directory, and Bob may be heard at work.
const WRITES: Stage = Stage { flags: &["--write-back"], allowed: &["agent:bob"], writes: true, ..OPEN };

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "writes-outside",
        ids: &["D-092", "D-091"],
        answer: "MALFORMED_MESSAGE for every spelling",
        stage: WRITES,
        run: writes_outside,
    },
    Attack {
        name: "reads-outside",
        ids: &["D-092"],
        answer: "File not found for every spelling",
        stage: OPEN,
        run: reads_outside,
    },
    Attack {
        name: "writes-through-links",
        ids: &["D-092"],
        answer: "in the session, and nowhere else",
        stage: Stage { prepare: links, unwritable: true, ..WRITES },
        run: through_links,
    },
    Attack {
        name: "writes-hooks",
        ids: &["D-092"],
        answer: "in the session, and not in the directory",
        stage: Stage { unwritable: true, ..WRITES },
        run: writes_hooks,
    },
    Attack {
        name: "names-paths-in-scopes",
        ids: &["D-063", "SCO-01"],
        answer: "names like any other: nothing is touched",
        stage: Stage { allowed: &["agent:bob", "service:coordinator-default"], ..WRITES },
        run: scopes,
    },
    Attack {
        name: "names-a-session-like-a-path",
        ids: &["SES-03", "SEC-41"],
        answer: "a session of that very name, or 4004; 400 to what is no path",
        stage: Stage { flags: &["--multi-session"], ..OPEN },
        run: sessions,
    },
    Attack {
        name: "names-a-session-in-a-message",
        ids: &["D-021"],
        answer: "INVALID_REFERENCE",
        stage: AUTHENTICATED,
        run: session_in_a_message,
    },
];

/// Spellings that lead out, or that some system takes for more than a name.
fn ways_out() -> Vec<String> {
    let mut ways: Vec<String> = [
        "..",
        "../",
        "../x",
        "../others/secret.txt",
        "a/../../others/secret.txt",
        "./../others/secret.txt",
        ".././../x",
        "a/..",
        "a/../b",
        "/",
        "//",
        "/etc/passwd",
        "//etc/passwd",
        "/./x",
        "\\",
        "a\\b",
        "..\\x",
        "a\\..\\..\\x",
        "C:\\x",
        "\\\\server\\share",
        "a\0",
        "\0",
        "a\0.txt",
        "../share/../others/secret.txt",
        "",
        ".",
    ]
    .map(str::to_owned)
    .into();
    ways.push(format!("{}others/secret.txt", "../".repeat(20)));
    ways.push(format!("{}others/secret.txt", "a/../".repeat(200) + "../"));
    ways
}

/// Names that look like ways out to whoever decodes once too often; here they are names.
const ODD_NAMES: [&str; 12] = [
    "%2e%2e/secret.txt",
    "%2e%2e%2fothers%2fsecret.txt",
    "..%2fothers%2fsecret.txt",
    "..%c0%af..%c0%afsecret.txt",
    "．．/secret.txt",
    "‥/secret.txt",
    "..\u{2215}secret.txt",
    ".. /secret.txt",
    "...",
    "~/.bashrc",
    "$HOME/x",
    "`id`",
];

fn commit(op: &str, path: &str, content: &str) -> Value {
    let (before, after) = (StateRef::of(""), StateRef::of(content));
    json!({
        "op_id": op, "target": path, "op_kind": "create", "state_ref_before": before.as_str(),
        "state_ref_after": after.as_str(),
        "file_changes": {path: {"content": content, "state_ref_before": before.as_str()}},
    })
}

fn writes_outside(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    for (count, way) in ways_out().into_iter().enumerate() {
        // As the target, and beside a good one.
        let own = commit(&format!("o{count}"), &way, PLANTED);
        ensure(&way, &bob.say("OP_COMMIT", &own)?, "MALFORMED_MESSAGE")?;
        let mut beside = commit(&format!("p{count}"), "good.txt", PLANTED);
        beside["file_changes"][&way] =
            json!({"content": PLANTED, "state_ref_before": StateRef::of("").as_str()});
        ensure(&way, &bob.say("OP_COMMIT", &beside)?, "MALFORMED_MESSAGE")?;
    }
    nothing_new(scene)
}

fn reads_outside(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let names = ways_out().into_iter().chain(ODD_NAMES.map(str::to_owned));
    for name in names {
        let answer = bob.ask(&json!({"type": "FILE_READ", "path": name}))?;
        ensure(&name, &answer["error"], &json!("File not found"))?;
        for request in ["FILE_LIST", "SESSION_SUMMARY"] {
            let answer = bob.ask(&json!({"type": request, "path": name}))?;
            ensure(&name, &answer.to_string().contains("secret"), &false)?;
        }
    }
    for path in [json!(null), json!(7), json!(["../x"]), json!({"path": "../x"})] {
        let answer = bob.refused(&json!({"type": "FILE_READ", "path": path}).to_string())?;
        ensure(&path.to_string(), answer.as_str(), "missing path")?;
    }
    Ok(())
}

/// In the workspace there is a link to a directory outside, one to a file there, and one that leads nowhere yet.
#[cfg(unix)]
fn links(cwd: &Path) -> Done {
    let share = cwd.with_file_name("share");
    for (target, link) in
        [("../others", "dir"), ("../others/secret.txt", "file"), ("../others/new.txt", "new")]
    {
        std::os::unix::fs::symlink(target, share.join(link)).map_err(Failure::io("make a link"))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn links(_: &Path) -> Done {
    Ok(())
}

fn through_links(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let list = bob.ask(&json!({"type": "FILE_LIST"}))?;
    ensure("the list", &list["files"].as_array().map(Vec::len), &Some(1))?;
    for path in ["dir/secret.txt", "file", "new"] {
        let answer = bob.ask(&json!({"type": "FILE_READ", "path": path}))?;
        ensure(path, &answer["error"], &json!("File not found"))?;
    }
    for (count, path) in ["dir/secret.txt", "dir/new.txt", "file", "new", "dir"].into_iter().enumerate() {
        let said = bob.say("OP_COMMIT", &commit(&format!("o{count}"), path, "hello"))?;
        ensure(path, said.as_str(), ACCEPTED)?;
    }
    // Written after those before it, so they have been tried.
    last_write(&mut bob, scene)
}

fn writes_hooks(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let names = [
        ".git/hooks/post-checkout",
        ".GIT/config",
        ".git",
        "node_modules/x.js",
        "a/.git/config",
        ".gitignore",
        ".mpac-tmp-x",
    ];
    for (count, path) in names.into_iter().enumerate() {
        let said = bob.say("OP_COMMIT", &commit(&format!("o{count}"), path, "hello"))?;
        ensure(path, said.as_str(), ACCEPTED)?;
    }
    last_write(&mut bob, scene)?;
    for path in names {
        ensure(path, &scene.path("share").join(path).exists(), &false)?;
    }
    Ok(())
}

/// Commits a file that may be written, and waits until it is.
fn last_write(bob: &mut Member, scene: &Scene) -> Done {
    ensure("a good file", &bob.say("OP_COMMIT", &commit("last", "last.txt", "last"))?, ACCEPTED)?;
    let until = std::time::Instant::now() + super::wire::ANSWER;
    while !scene.path("share/last.txt").exists() {
        ensure("that it is written", &(std::time::Instant::now() < until), &true)?;
        bob.settle()?;
    }
    Ok(())
}

/// In the workspace is what was there, and nothing else.
fn nothing_new(scene: &Scene) -> Done {
    let files = crate::step::files_below(&scene.path("share"))?;
    ensure("the files", &files, &vec![std::path::PathBuf::from("shared.txt")])
}

fn scopes(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let scopes = ways_out().into_iter().chain(ODD_NAMES.map(str::to_owned)).filter(|way| !way.is_empty());
    for (count, way) in scopes.enumerate() {
        let (intent, id) = (format!("i{count}"), format!("c{count}"));
        let scope = json!({"kind": "file_set", "resources": [way]});
        let said =
            bob.say("INTENT_ANNOUNCE", &json!({"intent_id": intent, "objective": "x", "scope": scope}))?;
        ensure(&way, &said, ACCEPTED)?;
        // A commit without content stores nothing, whatever it names.
        let bare = json!({
            "op_id": id, "intent_id": intent, "target": way, "op_kind": "replace", "state_ref_before": "sha256:e3b0c44298fc1c14",
            "state_ref_after": "sha256:5891b5b522d5df08",
        });
        bob.say("OP_COMMIT", &bare)?;
        let said = bob.say("INTENT_WITHDRAW", &json!({"intent_id": intent, "reason": "done"}))?;
        ensure(&way, &said, ACCEPTED)?;
    }
    nothing_new(scene)
}

fn sessions(scene: &mut Scene) -> Done {
    let paths = [
        "/session/..",
        "/session/.",
        "/session/../../others",
        "/session/..%2f..%2fothers",
        "/session/%2e%2e",
        "/session/a%00b",
        "/session/..\\..\\others",
        "/session/C:",
        "/session/con",
        "/session/-rf",
        "/session/~",
        "/session/lost+found",
        "/session/.git",
        "/session//",
        "/",
        "/sessions/shop",
        "/session/%",
        "/session/*",
    ];
    for path in paths {
        join_and_work(scene.dial()?, path)?;
    }
    let long = format!("/session/{}", "a".repeat(257));
    ensure("a name too long", &close_code(scene, &long)?, &Some(4004))?;
    for bytes in [&b"/session/\xc0\xae\xc0\xae/x"[..], b"/session/a\0b", b"/session/a b", b"/session/\xff"] {
        let mut wire = scene.dial()?;
        let request = [b"GET ", bytes, b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat();
        std::io::Write::write_all(&mut wire, &request).map_err(Failure::io("ask"))?;
        let answer = String::from_utf8_lossy(&wire.rest()?).into_owned();
        let is_refused =
            ["HTTP/1.1 400", "HTTP/1.1 426", "HTTP/1.1 505"].iter().any(|head| answer.starts_with(head));
        ensure(&format!("{:?}: {answer}", String::from_utf8_lossy(bytes)), &is_refused, &true)?;
    }
    // One directory for each session, and none that is more than a name.
    for entry in std::fs::read_dir(scene.path("data/sessions")).map_err(Failure::io("list the sessions"))? {
        let name =
            entry.map_err(Failure::io("list the sessions"))?.file_name().to_string_lossy().into_owned();
        let is_plain =
            name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.%".contains(c)) && !name.starts_with('.');
        ensure(&name, &is_plain, &true)?;
    }
    Ok(())
}

/// Works in the session that a path leads to; one that names no session leads nowhere.
fn join_and_work(wire: Wire, path: &str) -> Done {
    let (socket, _) = Socket::open(wire, path, &[])?;
    let session = path.strip_prefix("/session/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let mut eve = Member::new(socket, "agent:eve");
    session.clone_into(&mut eve.session);
    path.clone_into(&mut eve.instance);
    if session.is_empty() || path.starts_with("/sessions") {
        return ensure(path, &eve.socket.end()?, &4004);
    }
    ensure(path, &eve.hello(&Value::Null)?, "SESSION_INFO")?;
    ensure(
        path,
        &eve.say("OP_COMMIT", &commit(path, &format!("{PLANTED}{}.txt", path.len()), PLANTED))?,
        ACCEPTED,
    )
}

fn close_code(scene: &Scene, path: &str) -> Result<Option<u16>, Failure> {
    let wire: Wire = scene.dial()?;
    let (mut socket, _) = Socket::open(wire, path, &[])?;
    socket.end().map(Some)
}

fn session_in_a_message(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    for session in ["../default", "default/", "Default", "default ", "other", "default\0", "%64efault"] {
        let mut message = bob.envelope("HEARTBEAT", &json!({"status": "idle"}));
        message["session_id"] = session.into();
        ensure(session, &bob.told(&message)?, "INVALID_REFERENCE")?;
    }
    // What lies elsewhere can be made, and does not matter to a session.
    write(&scene.path("data/sessions.txt"), "x")
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_lets_nobody_in_by_an_odd_name_is_found() {
        for answer in ["HTTP/1.1 500 Internal Server Error\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let wire = Wire::dial(listener.local_addr().unwrap(), None).unwrap();
            let served = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert!(join_and_work(wire, "/session/con").is_err(), "{answer}");
            served.join().unwrap();
        }
    }
}
