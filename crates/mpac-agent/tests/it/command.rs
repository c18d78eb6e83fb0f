//! A program of one's own as the brain: what it is asked, what becomes of its mistakes, and that nothing of it stays behind.

use std::path::PathBuf;
use std::time::Duration;

use mpac_agent::brain::command::{CommandBrain, CommandConfig};
use mpac_agent::brain::usage::Cost;
use mpac_agent::brain::{Brain as _, BrainError, Notes, PlanAsk};
use mpac_agent::prompt::Persona;
use mpac_agent::task::{Outcome, TaskOptions};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use crate::at_work::{count, joined};
use crate::fake_coordinator::listening;
use crate::process::start;

/// A file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn example(name: &str) -> String {
    format!("python3 {}/../../fixtures/brain/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A program in Python that handles each question, `asked`, by setting `reply`.
pub(crate) fn python(name: &str, each: &str) -> String {
    let each = each.replace('\n', "\n    ");
    let text = format!(
        "import json, os, sys\nplan = {{'objective': 'mend it', 'files': ['a.py']}}\nfor text in sys.stdin:\n    asked = json.loads(text)\n    \
         reply = {{'answer': plan if asked['ask'] == 'plan' else {{'content': 'new\\n'}}}}\n    {each}\n    \
         print(json.dumps({{'id': asked['id'], **reply}}), flush=True)\n"
    );
    format!("python3 {}", file(&format!("{name}.py"), &text).display())
}

fn brain(command: &str, change: impl FnOnce(&mut CommandConfig)) -> CommandBrain {
    let mut config = CommandConfig::new(command);
    change(&mut config);
    CommandBrain::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap()
}

/// A task up to its end, with `a.py` as `old`: what was told, how it ended, and what was said to the coordinator.
async fn failing(brain: CommandBrain) -> (String, String, Vec<Value>) {
    let (mut peer, lines, outcome) = joined(brain, TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    while let Some(frame) = peer.next().await {
        match frame["message_type"].as_str() {
            Some("INTENT_ANNOUNCE") => peer.relay(&frame).await,
            None if frame["type"] == "FILE_READ" => peer.content("a.py", "old\n").await,
            _ => {}
        }
    }
    let error = outcome.await.unwrap().unwrap_err().to_string();
    (error, lines.text(), peer.said)
}

#[tokio::test]
async fn the_example_completes_a_task_as_a_program() {
    let (url, accept) = listening().await;
    let command = example("example.py");
    let ended = start(&[&url, "--task", "sign a.py", "--brain-command", &command], &[], "");
    let mut peer = accept.await.unwrap();
    assert_eq!(peer.take("HELLO").await["payload"].get("backend"), None, "it did not say which model");
    peer.welcome().await;
    peer.answer_list(&["a.py", "b.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "one\ntwo\n").await;
    let commit = peer.accept_commit("one\ntwo\n# signed by Bob\n").await;
    assert_eq!(commit["payload"]["file_changes"]["a.py"]["content"], "one\ntwo\n# signed by Bob\n");
    assert_eq!(commit["payload"]["summary"], "sign the file");
    peer.accept_withdraw(&intent).await;
    peer.take("GOODBYE").await;
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("+# signed by Bob"), "{output}");
}

#[tokio::test]
async fn the_credential_of_the_agent_is_not_the_programs() {
    let (url, accept) = listening().await;
    let each =
        "reply = {'error': 'seen: ' + ' '.join(name for name in os.environ if name.startswith('MPAC_'))}";
    let command = python("environment", each);
    let environment = [("MPAC_OF_A_TEST", "secret")];
    let ended = start(&[&url, "--task", "mend", "--brain-command", &command], &environment, "");
    let mut peer = accept.await.unwrap();
    peer.take("HELLO").await;
    peer.welcome().await;
    peer.answer_list(&["a.py"]).await;
    peer.take("GOODBYE").await;
    let (code, output) = ended.await.unwrap();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.lines().any(|line| line.ends_with("gave up: seen:")), "{output}");
}

#[tokio::test]
async fn any_tool_that_prints_an_answer_will_do() {
    let tool = "import json, sys\nprompt = sys.stdin.read()\nif 'FILES IN THE WORKSPACE' in prompt:\n    \
                print('Here is {my} plan:', json.dumps({'objective': 'mend', 'files': ['a.py']}), 'Good luck!')\nelse:\n    \
                content = json.loads(prompt.split('as a JSON string:\\n')[1].splitlines()[0])\n    \
                print(json.dumps({'edits': [{'search': content, 'replace': 'new\\n'}]}))\n";
    let command = format!("{} python3 {}", example("prompt_tool.py"), file("tool.py", tool).display());
    let (mut peer, _, outcome) = joined(brain(&command, |_| {}), TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old\n").await;
    peer.accept_commit("new\n").await;
    peer.accept_withdraw(&intent).await;
    while peer.next().await.is_some() {}
    assert_eq!(outcome.await.unwrap().unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
}

#[tokio::test]
async fn a_program_may_end_after_each_answer() {
    let once = python("once", "print(json.dumps({'id': asked['id'], **reply}), flush=True)\nsys.exit(0)");
    let (mut peer, _, outcome) = joined(brain(&once, |_| {}), TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old\n").await;
    peer.accept_commit("new\n").await;
    peer.accept_withdraw(&intent).await;
    while peer.next().await.is_some() {}
    assert!(outcome.await.unwrap().is_ok());
}

#[tokio::test]
async fn mistakes_of_the_program_are_told_and_end_the_task() {
    let wrong = [
        (
            "ends",
            "print('no licence', file=sys.stderr)\nsys.exit(3)",
            "ended (exit status: 3) before it answered; its last words: no licence",
        ),
        ("babbles", "print('Thinking...')", "wrote `Thinking...`, which is no answer"),
        ("breaks_off", r#"print('{"id": 1, "answer": {"obj')"#, "which is no answer"),
        ("is_silent", "print()\nsys.exit(0)", "ended (exit status: 0) before it answered"),
        ("answers_nothing", "reply = {'answer': {}}", "missing field `objective`"),
        ("imagines", "plan['files'] = ['login.py']", "there is no file `login.py` in the workspace"),
        ("another_id", "asked['id'] += 7", "which was not asked"),
        ("gives_up", "reply = {'error': 'out of ideas'}", "gave up: out of ideas"),
        ("says_nothing", "reply = {}", "with neither `answer` nor `error`"),
        ("no_plan", "reply = {'answer': {'files': ['a.py'], 'content': 7}}", "missing field `objective`"),
        ("escapes", "plan['new_files'] = ['../x']", "`../x` cannot be created"),
        (
            "closes",
            "import time\nos.close(1)\ntime.sleep(1000)",
            "closed its standard output before it answered",
        ),
    ];
    for (name, each, told) in wrong {
        let (error, lines, said) = failing(brain(&python(name, each), |_| {})).await;
        assert!(error.contains(told), "{name}: {error}\n{lines}");
        assert_eq!((count(&said, "INTENT_ANNOUNCE"), count(&said, "OP_COMMIT")), (0, 0), "{name}");
    }
    let (error, ..) = failing(brain("no-such-program --x", |_| {})).await;
    assert!(error.starts_with("the brain command `no-such-program --x` cannot be started"), "{error}");
}

#[tokio::test]
async fn a_program_that_fails_at_a_file_has_its_intent_withdrawn() {
    let wrong = [
        ("write_ends", "sys.exit(1)", "ended (exit status: 1) before it answered"),
        (
            "write_misfits",
            "reply = {'answer': {'edits': [{'search': 'nowhere', 'replace': ''}]}}",
            "edit 1: the file does not contain \"nowhere\"",
        ),
        ("write_numbers", "reply = {'answer': {'content': 7}}", "write_file: invalid type"),
        ("write_nothing", "reply = {'answer': {}}", "write_file: "),
        (
            "write_too_much",
            "reply = {'answer': {'content': 'x' * (1 << 20)}}",
            "the commit to a.py makes a frame of",
        ),
    ];
    for (name, each, told) in wrong {
        let each = format!("if asked['ask'] == 'write_file':\n    {each}");
        let (error, lines, said) = failing(brain(&python(name, &each), |_| {})).await;
        assert!(error.contains(told), "{name}: {error}\n{lines}");
        assert_eq!((count(&said, "INTENT_ANNOUNCE"), count(&said, "OP_COMMIT")), (1, 0), "{name}");
        let withdraw = said.iter().find(|message| message["message_type"] == "INTENT_WITHDRAW").unwrap();
        assert_eq!(withdraw["payload"]["reason"], "task_failed", "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_ends_the_task_and_the_program() {
    let silent = python("silent", "sys.stdin.read()");
    let (error, ..) =
        failing(brain(&silent, |config| config.answer_limit = Duration::from_millis(100))).await;
    assert!(error.starts_with("the answer was not complete after 0 s"), "{error}");
}

#[tokio::test]
async fn what_the_program_says_is_shown_and_its_usage_counts() {
    let each = "print('looking\\x1b[2J', file=sys.stderr, flush=True)\n\
                print(json.dumps({'id': asked['id'], 'say': 'hm'}))\n\
                reply['usage'] = {'input_tokens': 900, 'output_tokens': 100, 'cost_usd': 0.6}";
    let budget = |config: &mut CommandConfig| config.budget.cost = Cost::dollars(0.5);
    let (error, lines, said) = failing(brain(&python("says", each), budget)).await;
    assert!(error.contains("the budget is used up") && error.contains("$0.60 of $0.50 are spent"), "{error}");
    assert!(lines.contains("looking^[[2J") && lines.contains("  hm\n"), "{lines}");
    assert!(lines.contains("used: 1 call, 900 tokens in, 100 out; $0.60, says the brain\n"), "{lines}");
    assert_eq!((count(&said, "INTENT_ANNOUNCE"), count(&said, "OP_COMMIT")), (1, 0));
}

fn question() -> PlanAsk {
    PlanAsk { task: "t".to_owned(), files: vec![], fault: None }
}

/// The second question is not asked.
async fn is_spent(brain: &mut CommandBrain, case: &str) {
    let error = brain.plan(question(), &Notes::unread()).await.unwrap_err();
    assert!(matches!(&error, BrainError::OverBudget(why) if why.contains("did not say")), "{case}: {error}");
}

#[tokio::test]
async fn a_question_that_is_not_answered_is_the_last_one_under_a_budget() {
    let limited = |config: &mut CommandConfig| {
        config.budget.tokens = Some(1_000);
        config.answer_limit = Duration::from_millis(300);
    };
    for (name, each) in [
        ("budget_ends", "sys.exit(3)"),
        ("budget_babbles", "print('hm')"),
        ("budget_hangs", "sys.stdin.read()"),
    ] {
        let mut brain = brain(&python(name, each), limited);
        brain.plan(question(), &Notes::unread()).await.unwrap_err();
        is_spent(&mut brain, name).await;
    }
    let mut called_off = brain(&python("budget_called_off", "sys.stdin.read()"), limited);
    let (notes, mut heard) = Notes::channel();
    tokio::select! {
        biased;
        answer = called_off.plan(question(), &notes) => panic!("{answer:?}"),
        _ = heard.recv() => {}
    }
    is_spent(&mut called_off, "called off").await;

    let mut missing = brain("no-such-program --x", limited);
    for _ in 0..2 {
        let error = missing.plan(question(), &Notes::unread()).await.unwrap_err();
        assert!(matches!(error, BrainError::Command { .. }), "nothing was asked: {error}");
    }
}

#[tokio::test]
async fn where_tokens_are_limited_a_cost_alone_does_not_do() {
    let limited = |config: &mut CommandConfig| config.budget.tokens = Some(1_000);
    let mut costs = brain(&python("costs", "reply['usage'] = {'cost_usd': 0.6}"), limited);
    costs.plan(question(), &Notes::unread()).await.unwrap();
    is_spent(&mut costs, "a cost").await;
    let mut counts = brain(&python("counts", "reply['usage'] = {'input_tokens': 0}"), limited);
    for _ in 0..2 {
        counts.plan(question(), &Notes::unread()).await.unwrap();
    }
}

#[tokio::test]
async fn a_program_that_ends_after_each_answer_has_answered_them() {
    let each = "reply['usage'] = {'input_tokens': 1}\n\
                print(json.dumps({'id': asked['id'], **reply}), flush=True)\nsys.exit(0)";
    let mut brain = brain(&python("once_counted", each), |config| config.budget.tokens = Some(1_000));
    for _ in 0..3 {
        brain.plan(question(), &Notes::unread()).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_of_the_program_stays_when_its_question_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    // The program and one that it starts hold the same socket: it ends when both have ended.
    let each = format!(
        "import socket, subprocess\nheld = socket.create_connection(('127.0.0.1', {}))\n\
         subprocess.Popen(['sleep', '1000'], pass_fds=[held.fileno()])\nheld.send(b'here')\nsys.stdin.read()",
        listener.local_addr().unwrap().port()
    );
    let mut brain = brain(&python("held", &each), |_| {});
    let notes = Notes::unread();
    let mut held = {
        let mut asked = brain.plan(question(), &notes);
        let here = async {
            let (mut held, _) = listener.accept().await.unwrap();
            let mut word = [0; 4];
            held.read_exact(&mut word).await.unwrap();
            held
        };
        tokio::select! {
            biased;
            answer = &mut asked => panic!("{answer:?}"),
            held = here => held,
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), held.read_to_end(&mut Vec::new())).await;
    assert_eq!(ended.expect("both are killed").unwrap(), 0);
}

#[tokio::test]
async fn the_question_has_every_key_that_is_documented() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("questions.jsonl");
    let _ = std::fs::remove_file(&path);
    let each = format!("open({:?}, 'a').write(text)", path.to_str().unwrap());
    let (mut peer, _, outcome) = joined(brain(&python("keeps", &each), |_| {}), TaskOptions::default()).await;
    peer.answer_list(&["a.py"]).await;
    let intent = peer.accept_announce(|_| vec![]).await;
    peer.answer_read("a.py", "old\n").await;
    peer.accept_commit("new\n").await;
    peer.accept_withdraw(&intent).await;
    while peer.next().await.is_some() {}
    outcome.await.unwrap().unwrap();
    let questions: Vec<Value> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let agent = json!({"name": "Bob", "about": null});
    let plan = json!({"objective": "mend it", "files": ["a.py"], "new_files": []});
    let expected = [
        json!({"mpac_brain": 1, "id": 1, "ask": "plan", "agent": agent, "task": "mend a.py", "fault": null,
            "files": [{"path": "a.py", "size": 3}]}),
        json!({"mpac_brain": 1, "id": 2, "ask": "write_file", "agent": agent, "task": "mend a.py", "fault": null,
            "plan": plan, "path": "a.py", "content": "old\n", "rebased": false, "whole": false, "written": []}),
    ];
    assert_eq!(questions, expected);
}
