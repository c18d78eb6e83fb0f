//! The program as a process of its own: its environment, and its standard input.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;

use crate::fake_api::{FakeApi, stream, text_events, tool_events};
use crate::fake_coordinator::{listening, script};
use crate::program::script_file;

/// The program, without what somebody has set for an agent of their own.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mpac-agent"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("MPAC_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Starts the program as Bob in session s, with nothing of our own environment's keys, and writes its whole standard input.
pub(crate) fn start(
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &'static str,
) -> JoinHandle<(Option<i32>, String)> {
    run(&[arguments, &["--name", "Bob", "--session", "s"]].concat(), environment, input)
}

/// The same with these arguments alone.
fn run(
    arguments: &[&str],
    environment: &[(&str, &str)],
    input: &'static str,
) -> JoinHandle<(Option<i32>, String)> {
    let mut command = program();
    command.args(arguments);
    for name in ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
    })
}

#[tokio::test]
async fn the_key_and_the_address_of_the_api_come_from_the_environment() {
    let (url, accept) = listening().await;
    let plan = tool_events("plan_task", &json!({"objective": "o", "files": ["a.py"]}), "tool_use");
    let file = tool_events("write_file", &json!({"content": "new"}), "tool_use");
    let sorry = text_events("I'm sorry, I can't see the file.");
    let api = FakeApi::answering(vec![stream(&plan), stream(&sorry), stream(&file)]).await;
    let environment = [("ANTHROPIC_API_KEY", "sk-env"), ("ANTHROPIC_BASE_URL", api.url.as_str())];
    let ended = start(&[&url, "--task", "mend"], &environment, "");
    let mut peer = accept.await.unwrap();
    let hello = peer.take("HELLO").await;
    assert_eq!(hello["payload"]["backend"]["provider"], "anthropic");
    peer.welcome().await;
    peer.serve_task(true).await;
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    assert!(!output.contains("sk-env"), "{output}");
    let asked = api.asked();
    assert_eq!(asked.len(), 3);
    assert!(output.contains("the answer is no file"), "{output}");
    assert!(asked.iter().all(|asked| asked.head.contains("x-api-key: sk-env\r\n")));
}

#[tokio::test]
async fn prose_instead_of_a_file_is_an_error_the_second_time_and_never_committed() {
    let (url, accept) = listening().await;
    let plan = tool_events("plan_task", &json!({"objective": "o", "files": ["a.py"]}), "tool_use");
    let prose = stream(&text_events("Here is the file:\n```python\nnew\n```\nHope that helps!"));
    let api = FakeApi::answering(vec![stream(&plan), prose.clone(), prose]).await;
    let environment = [("ANTHROPIC_API_KEY", "sk"), ("ANTHROPIC_BASE_URL", api.url.as_str())];
    let ended = start(&[&url, "--task", "mend"], &environment, "");
    let mut peer = accept.await.unwrap();
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old").await;
    assert_eq!(peer.take("INTENT_WITHDRAW").await["payload"]["reason"], "task_failed");
    peer.take("GOODBYE").await;
    assert!(peer.next().await.is_none());
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("error: the model's answer is not usable: neither write_file nor"), "{output}");
}

#[tokio::test]
async fn without_a_key_or_with_a_bad_address_nobody_is_even_connected_to() {
    // Nobody listens, so that connecting would be another error.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("ws://{}", nobody.local_addr().unwrap());
    let bad = [("ANTHROPIC_API_KEY", "sk"), ("ANTHROPIC_BASE_URL", "foo")];
    for (environment, named) in
        [(&bad[..], "ANTHROPIC_BASE_URL is `foo`"), (&[], "ANTHROPIC_API_KEY is not set")]
    {
        let (code, output) = start(&[&url, "--task", "mend"], environment, "").await.unwrap();
        assert_eq!(code, Some(2), "{output}");
        assert!(output.starts_with(&format!("error: {named}")), "{output}");
    }
}

/// Runs the scripted program on piped input, with one task that `commits` or not, until it has left: its output.
async fn piped(test: &str, more: &[&str], input: &'static str, commits: bool) -> String {
    let (url, accept) = listening().await;
    let script = script_file(test, &script(""));
    let fixed = [url.as_str(), "--script", script.to_str().unwrap()];
    let ended = start(&[&fixed[..], more].concat(), &[], input);
    let mut peer = accept.await.unwrap();
    peer.answers_barriers();
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    peer.serve_task(commits).await;
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    output
}

#[tokio::test]
async fn where_to_join_comes_from_the_environment_and_the_command_line_counts_before_it() {
    let (url, accept) = listening().await;
    let script = script_file("environment", &script(""));
    let environment = [
        ("MPAC_URL", url.as_str()),
        ("MPAC_NAME", "Ann"),
        ("MPAC_SESSION", "s"),
        ("MPAC_PRINCIPAL_ID", "agent:bob@laptop"),
    ];
    let arguments = ["--name", "Bob", "--script", script.to_str().unwrap()];
    let ended = run(&arguments, &environment, "who\n");
    let mut peer = accept.await.unwrap();
    peer.answers_barriers();
    let hello = peer.take("HELLO").await;
    assert_eq!(hello["payload"]["display_name"], "Bob");
    assert_eq!(hello["sender"]["principal_id"], "agent:bob@laptop");
    assert_eq!(hello["session_id"], "s");
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    peer.take("GOODBYE").await;
    assert!(peer.next().await.is_none());
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("agent:bob@laptop (you)"), "{output}");
    // A verb takes its own from there, and is not confused by what would do without it; nothing at all says what is missing.
    let (code, output) = run(&["completions", "bash"], &environment, "").await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    for (environment, missing) in [(&[][..], "MPAC_URL"), (&environment[..1], "MPAC_NAME")] {
        let (code, output) = run(&["--script", script.to_str().unwrap()], environment, "").await.unwrap();
        assert!(code == Some(2) && output.contains(missing), "{output}");
    }
}

#[tokio::test]
async fn a_sentence_from_a_pipe_is_refused_and_swallows_no_line() {
    let output = piped("piped_sentence", &["--yes"], "mend the login\ntask mend\n", true).await;
    assert!(
        output.contains("`mend` is no command; `task mend ...`") && output.contains("done: a.py committed")
    );
}

#[tokio::test]
async fn the_line_after_a_piped_task_approves_its_commit() {
    let output = piped("piped", &[], "task mend\ny\nwho\n", true).await;
    let (done, after) = output.split_once("done: a.py committed").expect(&output);
    assert!(done.contains("commit this? y or n"), "{output}");
    assert!(after.contains("nobody else is here"), "the next line is the next command: {output}");
}

#[tokio::test]
async fn the_end_of_piped_input_lets_the_running_task_finish() {
    let output = piped("piped_end", &["--yes"], "task mend\n", true).await;
    assert!(output.contains("done: a.py committed"), "{output}");
}

#[tokio::test]
async fn without_a_line_to_approve_it_nothing_is_committed() {
    let output = piped("piped_no", &[], "task mend\n", false).await;
    assert!(output.contains("nobody can say yes"), "{output}");
}

#[tokio::test]
async fn a_credential_is_said_once_to_the_server_and_to_nobody_else() {
    const SECRET: &str = "PLANTED7SECRET";
    let shown = format!("api_key:{SECRET}");
    let environment = [("MPAC_CREDENTIAL", shown.as_str())];
    let path = script_file("planted", &script(""));
    let arguments = ["--task", "mend", "--script", path.to_str().unwrap()];
    // Taken, and refused.
    for welcome in [true, false] {
        let (url, accept) = listening().await;
        let ended = start(&[&[url.as_str()], &arguments[..]].concat(), &environment, "");
        let mut peer = accept.await.unwrap();
        let hello = peer.take("HELLO").await;
        assert_eq!(hello["payload"]["credential"]["value"], SECRET);
        let code = if welcome {
            peer.welcome().await;
            peer.serve_task(true).await;
            0
        } else {
            peer.refuse(&hello, "CREDENTIAL_REJECTED", "it is no good").await;
            assert!(peer.next().await.is_none());
            1
        };
        let (ended, output) = ended.await.unwrap();
        assert_eq!(ended, Some(code), "{output}");
        assert!(!output.contains(SECRET) && (welcome || output.contains("it is no good")), "{output}");
    }
    // Nobody there to take it, and nothing that could be shown.
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", nobody.local_addr().unwrap());
    drop(nobody);
    for value in [shown.clone(), SECRET.to_owned(), format!("apikey:{SECRET}")] {
        let all = [&[url.as_str(), "--reconnect-for-sec=0"], &arguments[..]].concat();
        let (code, output) = start(&all, &[("MPAC_CREDENTIAL", &value)], "").await.unwrap();
        assert_ne!(code, Some(0));
        assert!(!output.contains(SECRET) && !output.is_empty(), "{output}");
    }
}
