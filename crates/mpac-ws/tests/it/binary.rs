//! The program itself: what it prints, and how it exits.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::covers;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpac-ws");

fn run(args: &[&str]) -> Output {
    Command::new(PROGRAM).args(args).output().unwrap()
}

/// The one line on stderr of a call that cannot work.
fn mistake(args: &[&str]) -> String {
    let output = run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

#[test]
fn a_port_in_use_is_named_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let line = mistake(&["--port", &port]);
    assert!(line.contains(&port) && line.contains("--port 0"), "{line}");
}

#[test]
fn a_missing_directory_is_named() {
    let line = mistake(&["--port", "0", "--workspace", "no/such/dir"]);
    assert!(line.contains("no/such/dir") && line.contains("--workspace"), "{line}");
}

#[test]
fn an_empty_directory_is_a_workspace_and_needs_content_hashes() {
    covers!("OCC-17", "D-091");
    let dir = tempfile::tempdir().unwrap();
    let format = ["--port", "0", "--session-config", r#"{"state_ref_format": "git_hash"}"#];
    let line = mistake(&[&format[..], &["--workspace", dir.path().to_str().unwrap()]].concat());
    assert!(line.contains("sha256") && line.contains("git_hash"), "{line}");
}

#[test]
fn a_mistyped_configuration_key_is_named_with_the_one_that_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mpac.toml");
    std::fs::write(&file, "prot = 9\n").unwrap();
    let line = mistake(&["--config", file.to_str().unwrap()]);
    let expected = format!("error: config {}: unknown key `prot` (did you mean `port`?)\n", file.display());
    assert_eq!(line, expected);
}

#[test]
fn a_wrong_value_in_the_configuration_file_is_named_with_what_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mpac.toml");
    for (text, named) in [
        ("port = 70000", "`port`: invalid value '70000'"),
        ("protocol_level = \"0.1.12\"", "0.1.13, 0.1.14, 0.1.15"),
        ("session = \"\"", "`session`: invalid value ''"),
        ("write_back = 3", "`write_back`"),
    ] {
        std::fs::write(&file, text).unwrap();
        let line = mistake(&["--config", file.to_str().unwrap()]);
        assert!(line.starts_with(&format!("error: config {}: ", file.display())), "{line}");
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn a_workspace_too_large_for_the_memory_is_named_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.txt"), "12345").unwrap();
    let line =
        mistake(&["--port", "0", "--workspace", dir.path().to_str().unwrap(), "--max-workspace-bytes", "4"]);
    assert!(line.contains("more than 4 bytes") && line.contains("raise --max-workspace-bytes"), "{line}");
}

#[test]
fn options_that_make_no_sense_are_named() {
    for (args, named) in [
        (&["--prot", "1"][..], "--port"),
        (&["--port", "x"], "--port"),
        (&["--host", "203.0.113.7", "--port", "0"], "203.0.113.7"),
        (&["--log", "mpac_ws=loud", "--port", "0"], "--log"),
        (&["--role-policy", "no-such.json", "--port", "0"], "no-such.json"),
        (&["--role-policy", "{", "--port", "0"], "--role-policy"),
        (&["--role-policy", "{\"defaut_role\":\"owner\"}", "--port", "0"], "did you mean `default_role`?"),
        (&["--session-config", "{\"workspace\":{}}", "--port", "0"], "--workspace"),
        (&["--session-config", "{\"limits\":{\"max_bytes\":9}}", "--port", "0"], "--max-frame-bytes"),
        (&["--session-config", "", "--port", "0"], "name a JSON file"),
        (&["--write-back"], "--workspace"),
        (&["--log", "mpac_ws=loud", "--port", "0"], "MPAC_LOG"),
        (&["--session", "", "--port", "0"], "--session"),
        (&["--session", &"x".repeat(257), "--port", "0"], "1 to 256 bytes"),
        (&["--multi-session", "--session", "team a/b", "--port", "0"], "\"team a/b\""),
        (&["--heartbeat-interval-sec", "0", "--port", "0"], "heartbeat_interval_sec"),
        (&["--default-intent-ttl-sec", "0", "--port", "0"], "--default-intent-ttl-sec"),
        (&["--session-config", "{\"default_intent_ttl_sec\":0}", "--port", "0"], "default_intent_ttl_sec"),
    ] {
        let line = mistake(args);
        assert!(line.contains(named), "{line}");
    }
}

#[test]
fn a_file_for_the_session_may_begin_with_a_byte_order_mark_and_its_mistakes_are_placed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("session.json");
    for (text, named) in [
        ("", "nothing in it"),
        ("{}\n{\n", "not JSON: trailing characters, at line 2, byte 1"),
        (
            "\u{feff}{\"retained_records\": -1}",
            "retained_records: invalid value: integer `-1`, expected a whole number",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let line = mistake(&["--session-config", file.to_str().unwrap(), "--port", "0"]);
        assert!(line.contains(named) && line.contains("session.json"), "{line}");
    }
}

#[test]
fn a_profile_that_cannot_be_kept_is_refused_at_the_start() {
    let flags = ["--security-profile", "verified", "--port", "0"];
    for more in [&[][..], &["--multi-session"]] {
        let refused = mistake(&[&flags[..], more].concat());
        assert!(refused.contains("--trust-anchors") && refused.contains("token trust"), "{refused}");
    }
    let unread = mistake(&[&flags[..], &["--trust-anchors", "none.pem", "--role-policy", "{}"]].concat());
    assert!(unread.contains("none.pem") && unread.contains("PEM"), "{unread}");
    let powerless = mistake(&[&flags[..], &["--trust-anchors", "none.pem"]].concat());
    assert!(powerless.contains("--role-policy"), "{powerless}");
    let policy = ["--trust-anchors", "none.pem", "--role-policy", "{}", "--host", "0.0.0.0"];
    let heard = mistake(&[&flags[..], &policy].concat());
    assert!(heard.contains("--tls-self-signed"), "{heard}");
}

#[test]
fn an_open_session_is_not_shown_to_other_machines_by_mistake() {
    let refused = mistake(&["--host", "0.0.0.0", "--port", "0"]);
    assert!(refused.contains("--insecure-open") && refused.contains("mpac-ws token"), "{refused}");
}

#[test]
fn a_command_without_its_second_word_names_its_own_help() {
    for command in ["audit", "token"] {
        let refused = mistake(&[command]);
        assert!(refused.contains(&format!("`mpac-ws {command} --help`")), "{refused}");
    }
}

#[test]
fn help_explains_every_group_with_defaults_and_examples() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for part in [
        "Server:",
        "Workspace:",
        "Storage:",
        "--durability",
        "Security:",
        "Session:",
        "Times:",
        "Limits:",
        "[default: 8766]",
        "Examples:",
        "mpac-ws --workspace",
    ] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
}

#[test]
fn drive_has_a_help_of_its_own_and_no_options_of_the_server() {
    let output = run(&["drive", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for part in ["next_deadline", "\"kind\"", "backend_health_policy", "--max-line-bytes", "Example:"] {
        assert!(help.contains(part), "{part} is not in\n{help}");
    }
    let output = run(&["audit", "verify", "--help"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("--data-dir"));
    assert!(mistake(&["audit", "verfy"]).contains("verify"));
    let nothing = mistake(&["audit", "verify", "--data-dir", "no/such/dir"]);
    assert!(nothing.contains("no/such/dir: no sessions are stored there"), "{nothing}");
    let nowhere = mistake(&["audit", "verify", "--workspace", "no/such/dir"]);
    assert!(nowhere.contains("--workspace no/such/dir: there is no such directory"), "{nowhere}");
    assert!(mistake(&["drive", "--port", "1"]).contains("--port"));
    assert!(mistake(&["--port", "1", "drive"]).contains("drive"));
    assert!(mistake(&["drvie"]).contains("drive"));
}

#[cfg(unix)]
#[test]
fn it_prints_where_to_connect_and_ends_well_on_sigterm() {
    let mut server = Command::new(PROGRAM)
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(start) = line.find("ws://") {
            break line[start..].split_whitespace().next().unwrap().to_owned();
        }
    };
    assert!(std::net::TcpStream::connect(url.strip_prefix("ws://").unwrap()).is_ok(), "{url}");
    let killed = Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
}

#[test]
fn whoever_closes_the_pipe_has_read_enough() {
    let dir = tempfile::tempdir().unwrap();
    let keys = format!("--keys={}", dir.path().join("keys.toml").display());
    let ca = dir.path().join("ca");
    let made = |args: &[&str]| assert!(Command::new(PROGRAM).args(args).output().unwrap().status.success());
    made(&["token", "add", "bob", &keys]);
    made(&["cert", "ca", "--out", ca.to_str().unwrap()]);
    let data = dir.path().join("data");
    std::fs::create_dir_all(data.join("sessions/default/1")).unwrap();
    for (args, code) in [
        (vec!["token", "list", &keys], 0),
        (vec!["cert", "show", ca.join("ca.pem").to_str().unwrap()], 0),
        (vec!["repair", "--dry-run", "--data-dir", data.to_str().unwrap()], 0),
        // But not who has not seen a secret that is shown once.
        (vec!["token", "add", "eve", &keys], 2),
    ] {
        let (nobody, pipe) = std::io::pipe().unwrap();
        drop(nobody);
        let said = Command::new(PROGRAM).args(&args).stdout(pipe).output().unwrap();
        assert_eq!(said.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
    }
}
