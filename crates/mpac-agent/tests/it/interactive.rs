//! The interactive mode, with a keyboard that the test plays.

use std::time::Duration;

use mpac_agent::agent::{Agent, ConnectOptions};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::error::AgentError;
use mpac_agent::interactive::{Keyboard, Typed};
use mpac_agent::task::TaskOptions;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::covers;
use crate::fake_coordinator::{Lines, Peer, script};

struct Played {
    peer: Peer,
    lines: Lines,
    keys: mpsc::UnboundedSender<Typed>,
    ended: JoinHandle<Result<(), AgentError>>,
}

impl Played {
    /// A joined agent at its prompt, the workspace already shown.
    async fn start() -> Self {
        Self::start_at(&TcpListener::bind("127.0.0.1:0").await.unwrap()).await
    }

    /// The same, of an agent that comes back to this address after a break.
    async fn start_at(listener: &TcpListener) -> Self {
        let lines = Lines::default();
        let mut options = ConnectOptions::new(&format!("ws://{}", listener.local_addr().unwrap()), "Bob");
        options.session = Some("s".to_owned());
        options.patience = Duration::from_secs(60);
        let (keys, typed) = mpsc::unbounded_channel();
        let shown = lines.clone();
        let ended = tokio::spawn(async move {
            let (wanted, _asked) = std::sync::mpsc::channel();
            let mut keyboard = Keyboard::played(wanted, typed, move |line| shown.add(&line), true);
            let (agent, _) = Agent::connect(options).await?;
            let mut brain = ScriptedBrain::parse("test".to_owned(), &script(""), agent.history())?;
            let ended = agent.run_interactive(&mut brain, TaskOptions::default(), &mut keyboard, true).await;
            // It may be over already.
            let _ = agent.leave(Default::default()).await;
            ended
        });
        let mut peer = let_in(listener).await;
        peer.answer_list(&["a.py"]).await;
        Self { peer, lines, keys, ended }
    }

    fn line(&self, text: &str) {
        self.keys.send(Typed::Line(text.to_owned())).unwrap();
    }

    /// A task up to the question whether its diff may be committed: the intent.
    async fn task_up_to_its_question(&mut self) -> String {
        self.line("task mend");
        self.peer.answer_list(&["a.py"]).await;
        let intent = self.peer.accept_announce(|_| vec![]).await;
        self.peer.answer_read("a.py", "old").await;
        self.lines.wait_for("commit this? y or n").await;
        intent
    }

    async fn leaves(mut self) {
        assert_eq!(self.peer.take("GOODBYE").await["payload"]["reason"], "user_exit");
        assert!(self.peer.next().await.is_none());
        self.ended.await.unwrap().unwrap();
    }
}

/// The next connection of the agent, which is let in.
async fn let_in(listener: &TcpListener) -> Peer {
    let mut peer = Peer::accept(listener).await;
    peer.answers_barriers();
    peer.take("HELLO").await;
    peer.welcome().await;
    peer
}

#[tokio::test]
async fn files_are_shown_a_task_is_approved_and_quit_leaves() {
    let mut played = Played::start().await;
    played.lines.wait_for("workspace: 1 file").await;
    played.line("view a.py");
    played.peer.answer_read("a.py", "one\ntwo\n").await;
    played.lines.wait_for("    1  one\n    2  two\n").await;
    let intent = played.task_up_to_its_question().await;
    assert!(played.lines.text().contains("-old\n"), "the diff comes before the question");
    played.line("maybe");
    played.lines.wait_for("y commits, n stops the task").await;
    assert!(played.peer.said("OP_COMMIT").is_empty());
    played.line("y");
    played.peer.accept_commit("new").await;
    played.peer.accept_withdraw(&intent).await;
    played.lines.wait_for("done: a.py committed").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn an_own_copy_is_compared_with_the_shared_file() {
    let mut played = Played::start().await;
    // Tests run in their package's directory.
    let own = std::fs::read_to_string("Cargo.toml").unwrap();
    played.line("diff Cargo.toml");
    played.peer.answer_read("Cargo.toml", &own.replacen("mpac-agent", "shared-name", 1)).await;
    played.lines.wait_for("Cargo.toml: + your own, - shared, at sha256:").await;
    played.lines.wait_for("-name = \"shared-name\"\n+name = \"mpac-agent\"\n").await;
    played.line("diff Cargo.toml");
    played.peer.answer_read("Cargo.toml", &own).await;
    played.lines.wait_for("Cargo.toml of your own is as the shared one, at sha256:").await;
    let missing = json!({"type": "FILE_ERROR", "path": "Cargo.toml", "error": "File not found"});
    played.line("diff Cargo.toml");
    played.peer.take("FILE_READ").await;
    played.peer.send(&missing).await;
    played.lines.wait_for("Cargo.toml: + your own; there is no shared one").await;
    played.line("diff sideways");
    played.peer.answer_read("sideways", "x").await;
    played
        .lines
        .wait_for("there is no sideways of your own here; `view sideways` shows the shared one")
        .await;
    played.line("diff src");
    played.peer.answer_read("src", "x").await;
    played.lines.wait_for("cannot read your own src as UTF-8 text: it is no file").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn what_others_do_shows_while_the_prompt_waits() {
    let mut played = Played::start().await;
    let announce = json!({"intent_id": "i-alice", "objective": "mend it too",
        "scope": {"kind": "file_set", "resources": ["a.py"]}});
    played.peer.other("agent:Alice", "INTENT_ANNOUNCE", announce).await;
    played.lines.wait_for(">> agent:Alice announced: mend it too [a.py]").await;
    played.line("who");
    played.lines.wait_for("  agent:Alice\n    mend it too [a.py]").await;
    played.keys.send(Typed::End).unwrap();
    played.leaves().await;
}

#[tokio::test]
async fn a_no_commits_nothing_and_the_prompt_comes_back() {
    let mut played = Played::start().await;
    let intent = played.task_up_to_its_question().await;
    played.line("n");
    assert_eq!(played.peer.accept_withdraw(&intent).await, "declined");
    played.lines.wait_for("the change was not approved").await;
    played.line("files");
    played.peer.answer_list(&["a.py"]).await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn an_interrupt_cancels_the_task_and_not_the_program() {
    let mut played = Played::start().await;
    played.task_up_to_its_question().await;
    played.keys.send(Typed::Interrupt).unwrap();
    assert_eq!(played.peer.take("INTENT_WITHDRAW").await["payload"]["reason"], "cancelled");
    played.lines.wait_for("cancelled; what was committed stays").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn a_resolution_that_comes_with_the_last_answers_does_not_end_the_program() {
    let mut played = Played::start().await;
    let intent = played.task_up_to_its_question().await;
    played.line("y");
    let commit = played.peer.take("OP_COMMIT").await;
    played.peer.relay(&commit).await;
    let resolution = json!({"resolution_id": "r", "conflict_id": "c1", "decision": "rejected",
        "outcome": {"rejected": [intent]}});
    played.peer.other("human:Olga", "RESOLUTION", resolution).await;
    played.peer.answer_read("a.py", "new").await;
    played.peer.accept_withdraw(&intent).await;
    played.lines.wait_for("done: a.py committed").await;
    played.line("files");
    played.peer.answer_list(&["a.py"]).await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn while_the_coordinator_is_away_commands_say_so_and_the_task_waits() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut played = Played::start_at(&listener).await;
    // The next connection is taken and not answered.
    drop(played.peer);
    played.peer = Peer::accept(&listener).await;
    played.lines.wait_for("connection lost").await;
    for (command, answer) in [
        ("files", "FILE_LIST needs the coordinator, and the connection to it is broken"),
        ("view a.py", "FILE_READ a.py needs the coordinator"),
        ("who", "nobody else is here"),
        ("help", "commands:"),
    ] {
        played.line(command);
        played.lines.wait_for(answer).await;
    }
    played.line("task mend");
    played.peer.answers_barriers();
    played.peer.take("HELLO").await;
    played.peer.welcome().await;
    played.peer.answer_list(&["a.py"]).await; // the look at the session
    played.peer.answer_list(&["a.py"]).await; // the task
    let intent = played.peer.accept_announce(|_| vec![]).await;
    played.peer.answer_read("a.py", "old").await;
    played.lines.wait_for("commit this? y or n").await;
    // It breaks again while the person looks at the diff, and comes back before they answer.
    drop(played.peer);
    played.peer = let_in(&listener).await;
    played.peer.answer_read("a.py", "old").await;
    let again = played.peer.accept_announce(|_| vec![]).await;
    assert_eq!(again, intent, "nothing told whether it is there: the same id cannot be there twice");
    played.line("y");
    played.peer.answer_read("a.py", "old").await; // has it moved while nobody listened?
    played.peer.accept_commit("new").await;
    played.peer.accept_withdraw(&intent).await;
    played.lines.wait_for("done: a.py committed").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn while_the_coordinator_is_away_quit_and_cancel_work_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut played = Played::start_at(&listener).await;
    let intent = played.task_up_to_its_question().await;
    drop(played.peer);
    played.peer = Peer::accept(&listener).await;
    played.lines.wait_for("connection lost").await;
    played.keys.send(Typed::Interrupt).unwrap();
    played.lines.wait_for("cancelled; what was committed stays").await;
    // The intent that was given up meanwhile is withdrawn as soon as that can be said.
    played.peer.answers_barriers();
    played.peer.take("HELLO").await;
    played.peer.welcome().await;
    played.peer.answer_list(&["a.py"]).await;
    let withdraw = played.peer.take("INTENT_WITHDRAW").await;
    assert_eq!(withdraw["payload"], json!({"intent_id": intent, "reason": "cancelled"}));
    let Played { peer, lines, keys, ended } = played;
    drop((peer, listener));
    lines.wait_for("attempt 2 in").await;
    keys.send(Typed::Line("quit".to_owned())).unwrap();
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_question_can_be_looked_at_again_and_other_commands_go_on_beside_it() {
    let mut played = Played::start().await;
    let intent = played.task_up_to_its_question().await;
    played.line("?");
    played.lines.wait_for("y commits, n stops the task; d shows the change again").await;
    played.line("status");
    played.lines.wait_for("task      mend (").await;
    played.lines.wait_for(&format!("intent    {intent} [a.py]")).await;
    played.line("task something else");
    played.lines.wait_for("a task is running; Ctrl-C cancels it").await;
    played.line("resolve c-1");
    played.lines.wait_for("it is `resolve ID DECISION").await;
    played.line("diff side-by-side");
    played.lines.wait_for("changes are shown side by side").await;
    played.line("d");
    played.lines.wait_for("1 - old").await;
    assert!(played.lines.text().contains(" | 1 + new\n"), "{}", played.lines.text());
    assert!(played.peer.said("OP_COMMIT").is_empty(), "nothing of that was a yes");
    played.line("a");
    played.peer.accept_commit("new").await;
    played.peer.accept_withdraw(&intent).await;
    played.lines.wait_for("done: a.py committed").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn a_sentence_becomes_a_task_only_when_its_person_says_so() {
    let mut played = Played::start().await;
    for (line, said) in [
        ("flies", "`flies` is no command; did you mean `files`?"),
        ("hello", "`hello` is no command; `task hello ...` would work on it"),
        ("mend the login", "`mend` is no command. Is this a task for the agent? y or n"),
        ("perhaps", "y lets the agent work on \"mend the login\""),
        ("n", "forgotten"),
        ("mend the logout", "Is this a task for the agent?"),
    ] {
        played.line(line);
        played.lines.wait_for(said).await;
    }
    // Ctrl-C forgets it as well, and what comes next is a command again.
    played.keys.send(Typed::Interrupt).unwrap();
    played.line("y");
    played.lines.wait_for("`y` is no command").await;
    played.line("mend it now");
    played.line("y");
    played.peer.answer_list(&["a.py"]).await;
    let intent = played.peer.accept_announce(|_| vec![]).await;
    played.peer.answer_read("a.py", "old").await;
    played.lines.wait_for("commit this? y or n").await;
    played.line("n");
    assert_eq!(played.peer.accept_withdraw(&intent).await, "declined");
    played.lines.wait_for("the change was not approved").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn a_second_interrupt_finds_nothing_to_cancel_and_a_hangup_leaves() {
    let mut played = Played::start().await;
    played.task_up_to_its_question().await;
    played.keys.send(Typed::Interrupt).unwrap();
    played.keys.send(Typed::Interrupt).unwrap();
    played.lines.wait_for("nothing to cancel").await;
    assert_eq!(played.peer.take("INTENT_WITHDRAW").await["payload"]["reason"], "cancelled");
    played.task_up_to_its_question().await;
    played.keys.send(Typed::Hangup).unwrap();
    assert_eq!(played.peer.take("INTENT_WITHDRAW").await["payload"]["reason"], "cancelled");
    played.leaves().await;
}

#[tokio::test]
async fn an_interrupt_gives_a_command_up_that_gets_no_answer() {
    let mut played = Played::start().await;
    played.line("view a.py");
    played.peer.take("FILE_READ").await;
    played.keys.send(Typed::Interrupt).unwrap();
    played.lines.wait_for("given up").await;
    played.line("who");
    played.lines.wait_for("agent:Bob (you)").await;
    played.line("quit");
    played.leaves().await;
}

#[tokio::test]
async fn a_session_that_ends_in_the_midst_of_a_commit_ends_the_program_with_what_is_not_known() {
    covers!("PAR-12", "PAR-16");
    let mut played = Played::start().await;
    played.task_up_to_its_question().await;
    played.line("y");
    played.peer.take("OP_COMMIT").await;
    let close = json!({"reason": "completed", "final_lamport_clock": 9});
    played.peer.say("SESSION_CLOSE", close).await;
    let error = played.ended.await.unwrap().unwrap_err();
    let AgentError::Undecided { paths, why } = &error else { panic!("{error}") };
    assert!(matches!(**why, AgentError::SessionClosed(_)), "{error}");
    assert_eq!(paths[..], ["a.py"]);
}
