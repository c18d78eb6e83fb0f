//! What verbs write, and what they make of an output that takes nothing.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, pipe};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::program::{command, local, told};
use super::{Host, on_a, patiently};

/// Runs a verb with this as its standard output: its exit code, and what stands on the other one.
async fn into(stdout: impl Into<Stdio>, host: &Host, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(&host.url, "Bob", arguments);
    command.stdout(stdout);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stderr, .. } = patiently(done).await.unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_result_that_cannot_be_written_is_no_success() {
    let host = Host::start(&[]).await;
    for arguments in [
        &["cat", "a.py"][..],
        &["files", "--json"],
        &["announce", "a.py", "-m", "mend it", "--json"],
        &["completions", "bash"],
    ] {
        let full = File::create("/dev/full").unwrap();
        let (code, said) = into(full, &host, arguments).await;
        assert!(code == Some(1) && said.contains("cannot be written"), "{arguments:?}: {code:?} {said}");
    }
    let keys = tempfile::tempdir().unwrap();
    let key = keys.path().join("bob.key.pem");
    let full = File::create("/dev/full").unwrap();
    let (code, said) =
        into(full, &host, &["key", "new", "--name", "Bob", "--out", key.to_str().unwrap()]).await;
    assert!(code == Some(1) && said.contains("cannot be written"), "{code:?} {said}");
    // What failed for a better reason keeps its code.
    let full = File::create("/dev/full").unwrap();
    let (code, said) = into(full, &host, &["withdraw", "i", "--json"]).await;
    assert!(code == Some(4) && said.contains("cannot be written"), "{code:?} {said}");
    assert!(said.contains("INVALID_REFERENCE"), "why is said as well: {said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_stays_says_at_once_that_its_result_cannot_be_written() {
    let host = Host::start(&[]).await;
    let hold = ["announce", "a.py", "-m", "mend it", "--hold", "--json"];
    let mut holding =
        command(&host.url, "Bob", &hold).stdout(File::create("/dev/full").unwrap()).spawn().unwrap();
    let mut said = BufReader::new(holding.stderr.take().unwrap());
    let first = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        (line, said)
    });
    let (line, mut rest) = patiently(first).await.unwrap();
    assert!(line.contains("cannot be written"), "{line}");
    let pid = holding.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let done = tokio::task::spawn_blocking(move || {
        let mut more = String::new();
        rest.read_to_string(&mut more).unwrap();
        (holding.wait().unwrap().code(), more)
    });
    assert_eq!(patiently(done).await.unwrap(), (Some(1), String::new()), "once is enough");
}

/// What the verb `task` is given to change `a.py` with.
fn mend() -> Value {
    json!({"plan": {"objective": "mend it", "files": ["a.py"]}, "edits": {"a.py": [{"find": "old", "replace": "new"}]}})
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nor_is_a_task_that_could_not_show_what_it_would_commit() {
    let host = Host::start(&[]).await;
    let (_file, path) = local(&mend().to_string());
    for more in [&["--dry-run"][..], &["--dry-run", "--json"]] {
        let full = File::create("/dev/full").unwrap();
        let (code, said) = into(full, &host, &[&["task", "mend it", "--script", &path], more].concat()).await;
        assert!(code == Some(1) && said.contains("cannot be written"), "{more:?}: {code:?} {said}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn where_nothing_can_be_said_beside_the_result_it_goes_on_all_the_same() {
    let host = Host::start(&[]).await;
    let (_file, path) = local(&mend().to_string());
    let task = ["task", "mend it", "--script", &path, "--json"];
    for (arguments, code) in [(&task[..], 0), (&["key", "show", "nowhere.pem"], 2)] {
        let mut command = command(&host.url, "Bob", arguments);
        command.stderr(File::create("/dev/full").unwrap());
        let done = tokio::task::spawn_blocking(move || command.output().unwrap());
        let Output { status, stdout, .. } = patiently(done).await.unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
        assert_eq!(stdout.is_empty(), code > 0, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let host = Host::start(&[]).await;
    let (_file, path) = local(&mend().to_string());
    let task = ["task", "mend it", "--script", &path, "--dry-run"];
    for arguments in [&["cat", "a.py"][..], &["files", "--json"], &["completions", "bash"], &task] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        assert_eq!(into(writer, &host, arguments).await, (Some(0), String::new()), "{arguments:?}");
    }
}

#[tokio::test]
async fn whoever_watched_and_has_seen_enough_ends_it() {
    let host = Host::start(&["--rate-per-sec=1000000", "--rate-burst=1000000"]).await;
    let (ann, _events) = host.join("Ann").await;
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    // Nobody hears when the watcher is there, so she goes on until it has seen something.
    let announcing = async {
        loop {
            let intent = ann.announce(on_a()).await.unwrap().intent;
            ann.withdraw(&intent, None).await.unwrap();
        }
    };
    tokio::select! {
        ended = into(writer, &host, &["watch"]) => assert_eq!(ended, (Some(0), String::new())),
        () = announcing => {}
    }
}

#[tokio::test]
async fn a_file_is_printed_byte_for_byte() {
    let host = Host::start(&[]).await;
    for text in ["two\nlines", "\n\n", "a\0b\u{1b}[2J\r\n", ""] {
        let (_file, path) = local(text);
        told(&host, "Bob", &["commit", "c.py", "--from", &path]).await;
        let mut cat = command(&host.url, "Bob", &["cat", "c.py"]);
        let done = tokio::task::spawn_blocking(move || cat.output().unwrap());
        let done = patiently(done).await.unwrap();
        assert_eq!((done.status.code(), String::from_utf8(done.stdout).unwrap()), (Some(0), text.to_owned()));
    }
}
