//! The verbs of the command line, as processes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};

use mpac_agent::agent::{Agent, Announce, ConnectOptions, Event};
use serde_json::Value;

use super::{Host, heard, patiently};
use crate::covers;
use crate::process::program;

pub(super) fn command(url: &str, name: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(arguments).env("MPAC_URL", url).env("MPAC_NAME", name);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a verb to its end: its exit code and what it printed.
pub(super) async fn run(host: &Host, name: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command(&host.url, name, arguments);
    let done = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, stderr } = patiently(done).await.unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// The same with `--json`: the one object that it printed.
pub(super) async fn told(host: &Host, name: &str, arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, text) = run(host, name, &[arguments, &["--json"]].concat()).await;
    let value: Value = serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(value["verb"], arguments[0]);
    assert_eq!(value["ok"], code == Some(0), "{value}");
    (code, value)
}

/// A local file with this text, and its path.
pub(super) fn local(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[tokio::test]
async fn an_intent_outlives_the_program_that_announced_it() {
    covers!("BYE-06", "SCO-03");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let (_, announced) = told(&host, "Bob", &["announce", "a.py", "-m", "mend it"]).await;
    let intent = announced["intent_id"].as_str().unwrap();
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"][0]["intent_id"], intent);
    let (code, refused) = told(&host, "Ann", &["announce", "a.py", "-m", "hers"]).await;
    assert_eq!(
        (code, &refused["code"], &refused["rule"]),
        (Some(3), &"STALE_INTENT".into(), &"LCK-01".into())
    );
    assert_eq!(refused["holders"][0]["principal_id"], "agent:Bob");
    assert_eq!(refused["exit_code"], 3);

    // What commits under this name later works under it, and leaves it.
    let (_file, path) = local("new\n");
    let (_, committed) = told(&host, "Bob", &["commit", "a.py", "--from", &path]).await;
    assert_eq!(committed["committed"][0]["path"], "a.py");
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"][0]["intent_id"], intent);
    let (_file, path) = local("newer\n");
    let (_, committed) = told(&host, "Bob", &["commit", ".//a.py", "--from", &path]).await;
    assert_eq!(committed["committed"][0]["path"], "a.py", "one file, however it is spelt");
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"][0]["intent_id"], intent);
    assert_eq!(told(&host, "Bob", &["update", intent, "-m", "mend both", "--file", "b.py"]).await.0, Some(0));
    assert_eq!(told(&host, "Ann", &["withdraw", intent]).await.0, Some(4), "it is not hers");
    assert_eq!(told(&host, "Bob", &["withdraw", intent]).await.0, Some(0));
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"], serde_json::json!([]));
}

#[tokio::test]
async fn commits_leave_the_text_and_no_intent() {
    let host = Host::start(&[]).await;
    let (_file, path) = local("new\n");
    let (_, first) = told(&host, "Bob", &["commit", "a.py", "--from", &path, "-m", "why"]).await;
    assert_eq!(run(&host, "Ann", &["cat", "a.py"]).await, (Some(0), "new\n".to_owned()));
    let (_, cat) = told(&host, "Ann", &["cat", "a.py"]).await;
    assert_eq!(cat["state_ref"], first["committed"][0]["state_ref_after"]);
    assert_eq!(
        told(&host, "Bob", &["commit", "a.py", "--from", &path]).await.1["committed"],
        serde_json::json!([])
    );

    let (_file, other) = local("newer\n");
    let base = ["commit", "a.py", "--from", &other, "--base", "sha256:0000000000000000"];
    let (code, stale) = told(&host, "Bob", &base).await;
    assert_eq!(
        (code, &stale["code"], &stale["state_ref"]),
        (Some(3), &"STALE_STATE_REF".into(), &cat["state_ref"])
    );

    let op = first["committed"][0]["op_id"].as_str().unwrap();
    let (code, _) =
        told(&host, "Bob", &["supersede", op, "a.py", "--from", &other, "--reason", "typo"]).await;
    assert_eq!(code, Some(0));
    let pairs = [format!("a.py={path}"), format!("b.py={other}")];
    let (_, batch) = told(&host, "Bob", &["batch", &pairs[0], &pairs[1]]).await;
    assert_eq!(batch["committed"].as_array().unwrap().len(), 2);
    let (_, files) = told(&host, "Ann", &["files"]).await;
    assert_eq!(files["files"][1]["state_ref"], batch["committed"][1]["state_ref_after"]);
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"], serde_json::json!([]));
}

#[tokio::test]
async fn conflicts_are_shown_acknowledged_escalated_and_resolved() {
    let host = Host::governed(&[]).await;
    let owner = ["--role", "owner"];
    let with = |arguments: &[&'static str]| [arguments, &owner].concat();
    told(&host, "Ann", &with(&["announce", "a.py", "-m", "hers"])).await;
    let (_, his) = told(&host, "Bob", &with(&["announce", "a.py", "-m", "his"])).await;
    let conflict = his["conflicts"][0]["conflict_id"].as_str().unwrap();
    let (_, shown) = told(&host, "Eve", &["conflicts", "--role", "owner"]).await;
    assert_eq!(shown["conflicts"][0]["conflict_id"], conflict);
    assert_eq!(told(&host, "Bob", &["ack", conflict, "--role", "owner"]).await.0, Some(0));
    let (eve, _events) = host.join_as("Eve", "owner").await;
    let escalate = ["escalate", conflict, "--to", eve.me().as_str(), "-m", "cannot agree", "--role", "owner"];
    assert_eq!(told(&host, "Bob", &escalate).await.0, Some(0));
    let resolve = ["resolve", conflict, "--decision", "dismissed", "--role", "owner"];
    assert_eq!(told(&host, "Ann", &resolve).await.0, Some(4), "it is Eve's to settle now");
    eve.leave(Default::default()).await.unwrap();
    assert_eq!(told(&host, "Eve", &resolve).await.0, Some(0));
    let (_, shown) = told(&host, "Bob", &["conflicts", "--role", "owner"]).await;
    assert_eq!(shown["conflicts"], serde_json::json!([]));
}

#[tokio::test]
async fn who_holds_an_intent_shows_what_happens_and_hands_it_over_at_ctrl_c() {
    covers!("BYE-05", "CLM-16");
    let host = Host::start(&["--protocol-level=0.1.15", "--intent-claim-grace-sec=0"]).await;
    let (ann, mut events) = host.join("Ann").await;
    let mut holding =
        command(&host.url, "Bob", &["announce", "a.py", "-m", "his", "--hold", "--hand-over", "--json"])
            .spawn()
            .unwrap();
    let intent = heard(&mut events, |event| match event {
        Event::Announced { intent_id, .. } => Some(intent_id),
        _ => None,
    });
    let intent = intent.await;
    let other = ann.announce(Announce::files("hers", ["b.py"])).await.unwrap().intent;
    let mut shown = BufReader::new(holding.stdout.take().unwrap());
    let shows = tokio::task::spawn_blocking(move || {
        let mut lines = [String::new(), String::new()];
        lines.iter_mut().for_each(|line| drop(shown.read_line(line)));
        while !lines[1].contains("announced") {
            lines[1].clear();
            shown.read_line(&mut lines[1]).unwrap();
        }
        (lines, shown)
    });
    let (lines, mut rest) = patiently(shows).await.unwrap();
    let values = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert_eq!(values[0]["intent_id"], intent.as_str());
    assert_eq!((&values[1]["event"], &values[1]["intent_id"]), (&"announced".into(), &other.as_str().into()));

    let pid = holding.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let done = tokio::task::spawn_blocking(move || {
        rest.read_to_string(&mut String::new()).unwrap();
        holding.wait().unwrap()
    });
    assert_eq!(patiently(done).await.unwrap().code(), Some(0));
    let (code, claimed) = told(&host, "Eve", &["claim", intent.as_str()]).await;
    assert_eq!((code, &claimed["claimed_intent_id"]), (Some(0), &intent.as_str().into()), "{claimed}");
}

#[tokio::test]
async fn a_verb_that_is_broken_off_leaves_nothing_behind() {
    let review = r#"{"operation_authorization": "review"}"#;
    let host = Host::governed(&["--execution-model=pre_commit", "--session-config", review]).await;
    let (ann, mut events) = host.join_as("Ann", "owner").await;
    let (_file, path) = local("new\n");
    let mut proposing =
        command(&host.url, "Bob", &["propose", "a.py", "--from", &path, "--role", "owner"]).spawn().unwrap();
    let proposed = heard(&mut events, |event| match event {
        Event::Proposed { intent_id, .. } => intent_id,
        _ => None,
    });
    let intent = proposed.await;
    let pid = proposing.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    heard(&mut events, |event| {
        matches!(event, Event::Withdrawn { intent_id, .. } if intent_id == intent).then_some(())
    })
    .await;
    let done = tokio::task::spawn_blocking(move || proposing.wait().unwrap());
    assert_eq!(patiently(done).await.unwrap().code(), Some(1));
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "old\n");
}

#[tokio::test]
async fn who_steps_back_waits_until_the_files_are_free() {
    covers!("DEF-04");
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let (ann, mut events) = host.join("Ann").await;
    let hers = ann.announce(super::on_a()).await.unwrap().intent;
    let (deferred, ()) = tokio::join!(told(&host, "Bob", &["defer", "a.py", "--ttl-sec", "60"]), async {
        heard(&mut events, |event| matches!(event, Event::Deferred { .. }).then_some(())).await;
        ann.withdraw(&hers, None).await.unwrap();
    });
    assert_eq!((deferred.0, &deferred.1["ended"]), (Some(0), &"resolved".into()));
    let (_, nobody) = told(&host, "Bob", &["defer", "a.py"]).await;
    assert_eq!(nobody["ended"], "nobody_there");
}

#[tokio::test]
async fn what_is_watched_is_a_line_each_and_ends_when_it_was_asked_to() {
    // Until the watcher is there she announces as fast as she can.
    let host = Host::start(&["--rate-per-sec=1000000", "--rate-burst=1000000"]).await;
    let (ann, mut events) = host.join("Ann").await;
    let watch = run(&host, "Bob", &["watch", "--only", "announced", "--count", "2", "--json"]);
    let (watched, ()) = tokio::join!(watch, async {
        // The guest is heard of only when it leaves, so announce until it has seen two.
        loop {
            let announced = ann.announce(Announce::files("again", ["c.py"])).await.unwrap();
            ann.withdraw(&announced.intent, None).await.unwrap();
            let left = events.find(|event| match event {
                Event::Left { .. } => Some(true),
                Event::Withdrawn { .. } => Some(false),
                _ => None,
            });
            if patiently(left).await.unwrap() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    let (code, text) = watched;
    assert_eq!(code, Some(0), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line["event"] == "announced"), "{text}");
}

#[tokio::test]
async fn bad_usage_and_a_missing_coordinator_have_codes_of_their_own() {
    let host = Host::start(&[]).await;
    assert_eq!(told(&host, "Bob", &["commit", "a.py", "--from", "/nowhere/x"]).await.0, Some(2));
    assert_eq!(told(&host, " ", &["withdraw", "i"]).await.0, Some(2));
    assert_eq!(told(&host, "", &["withdraw", "i"]).await.0, Some(2));
    assert_eq!(told(&host, "", &["who"]).await.0, Some(0), "who only looks needs no name");
    assert_eq!(run(&host, "Bob", &["ack", "c", "--as", "perhaps"]).await.0, Some(2));
    assert_eq!(told(&host, "Bob", &["update", "i"]).await.0, Some(2));
    assert_eq!(told(&host, "Bob", &["withdraw", "i"]).await.0, Some(4));
    assert_eq!(told(&host, "Bob", &["who", "--url", "ws://127.0.0.1:1"]).await.0, Some(5));
    let (code, script) = run(&host, "Bob", &["completions", "bash"]).await;
    assert!(code == Some(0) && script.contains("conflicts"), "{script}");
}

#[tokio::test]
async fn what_others_are_called_and_say_is_no_line_of_its_own() {
    let host = Host::start(&[]).await;
    let mut options = ConnectOptions::new(&host.url, "Eve");
    options.principal_id = Some("agent:Eve\nagent:Root".to_owned());
    let (eve, _events) = patiently(Agent::connect(options)).await.unwrap();
    eve.announce(Announce::files("x\nagent:Root is here", ["a.py"])).await.unwrap();
    let (_, who) = run(&host, "Ann", &["who"]).await;
    assert!(who.contains("agent:Eve agent:Root") && who.contains("x agent:Root is here [a.py]"), "{who}");
    let (_, announced) = run(&host, "Bob", &["announce", "a.py", "-m", "his"]).await;
    let (_, conflicts) = run(&host, "Ann", &["conflicts"]).await;
    assert!(
        announced.contains("in conflict") && conflicts.contains("agent:Eve agent:Root"),
        "{announced}{conflicts}"
    );
    for text in [who, announced, conflicts] {
        assert!(text.lines().all(|line| !line.trim_start().starts_with("agent:Root")), "{text}");
    }
}

/// Starts the verb `task` with this script, and gives its lines of JSON: the events, and what became of it.
async fn task(host: &Host, script: &Value, more: &[&str]) -> (Option<i32>, Vec<Value>, Value) {
    let (_file, path) = local(&script.to_string());
    let mut command =
        command(&host.url, "Bob", &[&["task", "mend it", "--json", "--script", &path], more].concat());
    let done = tokio::task::spawn_blocking(move || command.output().unwrap());
    let Output { status, stdout, .. } = patiently(done).await.unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    assert_eq!((&last["verb"], &last["ok"]), (&"task".into(), &(status.code() == Some(0)).into()), "{last}");
    (status.code(), lines, last)
}

/// Puts `new` in place of this in `a.py`.
fn mends_a(find: &str) -> Value {
    serde_json::json!({
        "plan": {"objective": "mend it", "files": ["a.py"]},
        "edits": {"a.py": [{"find": find, "replace": "new"}]},
    })
}

#[tokio::test]
async fn a_task_tells_programs_what_became_of_it() {
    let host = Host::start(&["--protocol-level=0.1.15"]).await;
    let (code, _, shown) = task(&host, &mends_a("old"), &["--dry-run"]).await;
    assert_eq!(
        (code, &shown["outcome"], &shown["would_commit"][0]),
        (Some(0), &"shown".into(), &"a.py".into())
    );
    assert_eq!(shown["committed"], serde_json::json!([]));

    let (code, events, done) = task(&host, &mends_a("old"), &[]).await;
    assert_eq!((code, &done["outcome"]), (Some(0), &"committed".into()));
    assert_eq!((&done["committed"][0]["path"], &done["used"]["calls"]), (&"a.py".into(), &0.into()));
    let (_, cat) = told(&host, "Ann", &["cat", "a.py"]).await;
    assert_eq!(
        (&cat["content"], &cat["state_ref"]),
        (&"new\n".into(), &done["committed"][0]["state_ref_after"])
    );
    assert!(
        events.iter().any(|event| event["event"] == "committed" && event["path"] == "a.py"),
        "{events:?}"
    );

    let (code, _, again) = task(&host, &mends_a("new"), &[]).await;
    assert_eq!(
        (code, &again["outcome"], &again["committed"]),
        (Some(0), &"unchanged".into(), &serde_json::json!([]))
    );

    let odd = serde_json::json!({"plan": {"objective": "o", "files": ["nowhere.py"]}});
    let (code, _, failed) = task(&host, &odd, &[]).await;
    assert_eq!((code, &failed["outcome"], &failed["exit_code"]), (Some(1), &"failed".into(), &1.into()));
    let (_, who) = told(&host, "Ann", &["who"]).await;
    assert_eq!(who["intents"], serde_json::json!([]));
}

#[tokio::test]
async fn an_empty_task_and_one_without_a_brain_are_bad_usage() {
    let host = Host::start(&[]).await;
    assert_eq!(run(&host, "Bob", &["task", " ", "--script", "nowhere.json"]).await.0, Some(2));
    assert_eq!(run(&host, "Bob", &["task", "mend", "--script", "nowhere.json"]).await.0, Some(2));
}
