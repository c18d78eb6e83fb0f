//! A person at the prompt, in a real session.

use std::time::Duration;

use mpac_agent::agent::{Agent, Announce, ConnectOptions};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::error::AgentError;
use mpac_agent::interactive::{Keyboard, Typed};
use mpac_agent::task::TaskOptions;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Host, on_a, patiently};
use crate::covers;
use crate::fake_coordinator::{Lines, script};

/// Somebody who types, and reads.
struct Person {
    keys: mpsc::UnboundedSender<Typed>,
    lines: Lines,
    ended: JoinHandle<Result<(), AgentError>>,
}

impl Person {
    async fn sit_down(agent: Agent) -> Self {
        Self::sit_down_with(agent, &script("")).await
    }

    async fn sit_down_with(agent: Agent, script: &str) -> Self {
        let script = script.to_owned();
        let (keys, typed) = mpsc::unbounded_channel();
        let lines = Lines::default();
        let shown = lines.clone();
        let ended = tokio::spawn(async move {
            let (wanted, _asked) = std::sync::mpsc::channel();
            let keyboard = Keyboard::played(wanted, typed, move |line| shown.add(&line), true);
            let mut keyboard = keyboard.telling_every(Duration::from_millis(10));
            let mut brain = ScriptedBrain::parse("test".to_owned(), &script, agent.history())?;
            agent.run_interactive(&mut brain, TaskOptions::default(), &mut keyboard, true).await
        });
        let person = Self { keys, lines, ended };
        person.lines.wait_for("`help` tells what else there is").await;
        person
    }

    /// Types a line, and waits for what it brings.
    async fn types(&self, line: &str, brings: &str) {
        self.keys.send(Typed::Line(line.to_owned())).unwrap();
        self.lines.wait_for(brings).await;
    }

    async fn leaves(self) {
        self.keys.send(Typed::End).unwrap();
        patiently(self.ended).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_conflict_is_listed_looked_at_acknowledged_and_settled_while_the_task_waits() {
    covers!("CON-06", "GOV-01");
    let host = Host::governed(&[]).await;
    let ((ann, _), (ben, _)) = (host.join_as("Ann", "owner").await, host.join_as("Ben", "owner").await);
    let person = Person::sit_down(ann.clone()).await;
    person.types("conflicts", "no conflicts").await;
    ben.announce(on_a()).await.unwrap();
    person.types("task mend it", "commit this? y or n").await;
    let id = ann.view().await.unwrap().conflicts[0].conflict_id.to_string();
    person.types("conflicts", &format!("{id} ACKED (scope_overlap, medium)\n  ")).await;
    person.lines.wait_for("you and agent:Ben about a.py").await;
    person.types("conflict", "next: `ack`, `escalate ... to WHO`").await;
    person.types("ack disputed", &format!("{id} is acknowledged as disputed")).await;
    // The beginning of an id is enough.
    let settle = format!("resolve {} approved -m we don't touch each other", &id[..8]);
    person.types(&settle, &format!("{id} is settled: approved")).await;
    assert!(ann.view().await.unwrap().conflicts.is_empty());
    person.types("y", "done: a.py committed").await;
    person.types("log", "agent:Ann settled").await;
    let text = person.lines.text();
    let settled = text.lines().find(|line| line.contains("agent:Ann settled")).unwrap();
    assert!(settled.ends_with("approved: we don't touch each other"), "{settled}");
    assert!(settled.chars().nth(2) == Some(':') && settled.chars().nth(5) == Some(':'), "{settled}");
    person.leaves().await;
}

#[tokio::test]
async fn yes_to_all_is_asked_once_in_a_task_and_again_in_the_next() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let edit = r#"[{"find": "", "replace": "more\n"}]"#;
    let script = format!(
        r#"{{"plan": {{"objective": "more", "files": ["a.py", "b.py"]}}, "edits": {{"a.py": {edit}, "b.py": {edit}}}}}"#
    );
    let person = Person::sit_down_with(ann.clone(), &script).await;
    let asked = || person.lines.text().matches("commit this?").count();
    person.types("task more of everything", "commit this? y or n").await;
    person.types("a", "done: a.py, b.py committed").await;
    assert_eq!(asked(), 1);
    assert_eq!(ann.read_file("b.py").await.unwrap().unwrap().content, "old\nmore\n");
    person.types("task even more", " more\n+more\ncommit this?").await;
    person.types("n", "stopped: the change was not approved").await;
    assert_eq!(asked(), 2);
    person.leaves().await;
}

#[tokio::test]
async fn a_long_task_tells_that_it_goes_on_and_is_silent_while_it_waits_for_an_answer() {
    let host = Host::start(&[]).await;
    let ((ann, _), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let waits = r#","wait_for":[{"before":"write","event":"INTENT_ANNOUNCE","from":"agent:Ben"}]"#;
    let person = Person::sit_down_with(ann.clone(), &script(waits)).await;
    person.types("task mend it", "waiting for INTENT_ANNOUNCE").await;
    person.lines.wait_for(" working (Ctrl-C cancels)").await;
    ben.announce(Announce::files("elsewhere", ["b.py"])).await.unwrap();
    person.lines.wait_for("commit this? y or n").await;
    person.types("log 1", "agent:Ben announced").await;
    let text = person.lines.text();
    let (_, after) = text.split_once("commit this?").unwrap();
    assert!(!after.contains("working"), "{text}");
    person.leaves().await;
}

#[tokio::test]
async fn a_refusal_is_told_once_with_its_rule_and_the_next_step() {
    let host = Host::start(&[]).await;
    let ((ann, _), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let person = Person::sit_down(ann.clone()).await;
    ben.announce(on_a()).await.unwrap();
    person.types("task mend it", "commit this? y or n").await;
    person.types("resolve x-1 approved", "refused: the resolution of x-1: ").await;
    person.lines.wait_for("\n  rule INT-11; next: check the id").await;
    assert_eq!(person.lines.text().matches("INVALID_REFERENCE").count(), 1, "{}", person.lines.text());
    person.types("escalate nothing to Ben", "no open conflict is called nothing").await;
    person.types("escalate c", "it is `escalate ID to WHO").await;
    person.leaves().await;
}

#[tokio::test]
async fn what_others_are_called_and_say_cannot_steer_the_terminal() {
    let host = Host::start(&[]).await;
    let (ann, _) = host.join("Ann").await;
    let mut options = ConnectOptions::new(&host.url, "Eve");
    options.principal_id = Some("agent:Eve\u{1b}]0;x\u{7}\nagent:Root".to_owned());
    let (eve, _) = patiently(Agent::connect(options)).await.unwrap();
    let person = Person::sit_down(ann.clone()).await;
    let faked = "x\u{1b}[2J\ncommit this? y or n\u{202e}";
    eve.announce(Announce::files(faked, ["a.py", "b\u{1b}[31m.py"])).await.unwrap();
    person.lines.wait_for(">> agent:Eve").await;
    person.types("who", "x^[[2J commit this? y or n<U+202E> [a.py, b^[[31m.py]").await;
    person.types("log", "announced").await;
    person.types("files", "< agent:Eve").await;
    person.types("task mend it", "writing a.py").await;
    let text = person.lines.text();
    assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text}");
    assert!(!text.contains('\u{202e}'));
    assert!(text.lines().all(|line| !line.starts_with("agent:Root")), "no line of hers: {text}");
    person.leaves().await;
}

#[tokio::test]
async fn an_own_intent_is_given_up_and_nobody_elses() {
    covers!("INT-23");
    let host = Host::start(&[]).await;
    let ((ann, _), (bob, _)) = (host.join("Ann").await, host.join("Bob").await);
    let his = bob.announce(on_a()).await.unwrap().intent;
    let person = Person::sit_down(ann.clone()).await;
    person.types("withdraw", "you have no intent").await;
    person.types(&format!("withdraw {his}"), "no intent of yours is called").await;
    let first = ann.announce(Announce::files("one", ["b.py"])).await.unwrap().intent;
    let second = ann.announce(Announce::files("two", ["c.py"])).await.unwrap().intent;
    person.types("withdraw", "say which: ").await;
    person.types(&format!("withdraw {first} -m not now"), &format!("{first} is given up")).await;
    person.types("withdraw", &format!("{second} is given up")).await;
    let left: Vec<_> = ann.view().await.unwrap().intents.into_iter().map(|it| it.intent_id).collect();
    assert_eq!(left, [his]);
    person.leaves().await;
}
