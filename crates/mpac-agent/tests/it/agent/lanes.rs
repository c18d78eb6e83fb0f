//! Many callers, and a task, over one connection.

use mpac_agent::agent::{Announce, Edit, Event, Work};
use mpac_agent::brain::scripted::ScriptedBrain;
use mpac_agent::console::{Console, Palette};
use mpac_agent::interactive::{Keyboard, Typed};
use mpac_agent::task::Outcome;
use tokio::sync::mpsc;

use super::{Host, heard, patiently, unasked};
use crate::fake_coordinator::{Lines, script};

#[tokio::test]
async fn many_callers_use_one_agent_at_once() {
    let host = Host::start(&[]).await;
    let (agent, _) = host.join("Ann").await;
    let callers = (0..16).map(|number| {
        let agent = agent.clone();
        tokio::spawn(async move {
            let path = format!("{number}.py");
            let edit = |_, old: String| async move { Some(format!("{old}{number}\n")) };
            let committed = agent.execute_task(Work::on(&path, [path.as_str()]), edit).await.unwrap();
            assert_eq!(committed.len(), 1);
            agent.read_file(&path).await.unwrap().unwrap().content
        })
    });
    for (number, caller) in callers.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(patiently(caller).await.unwrap(), format!("{number}\n"));
    }
    assert!(agent.view().await.unwrap().intents.is_empty());
}

#[tokio::test]
async fn all_who_add_to_one_file_get_their_line_in() {
    let host = Host::start(&[]).await;
    let agents = [host.join("Ann").await.0, host.join("Ben").await.0, host.join("Eve").await.0];
    let adding = agents.iter().map(|agent| {
        let (agent, me) = (agent.clone(), agent.me().clone());
        tokio::spawn(async move {
            let mut work = Work::on("add a line", ["a.py"]);
            work.max_rebase = 10;
            let edit = |_, old: String| {
                let line = format!("{old}{me}\n");
                async move { Some(line) }
            };
            agent.execute_task(work, edit).await.unwrap();
        })
    });
    for adding in adding.collect::<Vec<_>>() {
        patiently(adding).await.unwrap();
    }
    let text = agents[0].read_file("a.py").await.unwrap().unwrap().content;
    assert!(agents.iter().all(|agent| text.contains(agent.me().as_str())), "{text}");
}

#[tokio::test]
async fn verbs_go_on_beside_a_task() {
    let host = Host::start(&[]).await;
    let ((ann, mut anns), (ben, _)) = (host.join("Ann").await, host.join("Ben").await);
    let file = tempfile::NamedTempFile::new().unwrap();
    let waits = r#","wait_for":[{"before":"write","event":"OP_COMMIT","from":"agent:Ben"}]"#;
    std::fs::write(file.path(), script(waits)).unwrap();
    let mut brain = ScriptedBrain::load(file.path(), ann.history()).unwrap();
    let options = unasked();
    let console = Console::lines_to(Palette::PLAIN, Box::new(|_| {}));
    let task = patiently(ann.run_task(&mut brain, &options, "mend it", console));
    let beside = async {
        heard(&mut anns, |event| matches!(event, Event::Announced { .. }).then_some(())).await;
        // While the task waits for Ben, its agent reads what the task has read, and works elsewhere.
        assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "old\n");
        let mine = ann.announce(Announce::files("elsewhere", ["c.py"])).await.unwrap().intent;
        assert_eq!(ann.view().await.unwrap().intents.iter().filter(|it| it.own).count(), 2);
        ann.withdraw(&mine, None).await.unwrap();
        let his = ben.announce(Announce::files("b", ["b.py"])).await.unwrap().intent;
        let base = ben.read_file("b.py").await.unwrap().unwrap();
        ben.commit(Some(&his), Edit::of("b.py", &base, "new\n")).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(task, beside);
    assert_eq!(outcome.unwrap(), Outcome::Committed(vec!["a.py".to_owned()]));
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "new\n");
}

#[tokio::test]
async fn who_reads_events_too_late_is_told_how_many_are_lost() {
    let host = Host::start(&["--rate-per-sec=100000", "--rate-burst=100000"]).await;
    let ((ann, _), (ben, mut bens)) = (host.join("Ann").await, host.join("Ben").await);
    for _ in 0..600 {
        let intent = ann.announce(Announce::files("again", ["c.py"])).await.unwrap().intent;
        ann.withdraw(&intent, None).await.unwrap();
    }
    let last = ann.announce(Announce::files("last", ["c.py"])).await.unwrap().intent;
    // What Ben is told comes after what he has been told.
    ben.read_file("a.py").await.unwrap();
    assert!(matches!(bens.next().await, Some(Event::Lagged { lost }) if lost > 100));
    heard(&mut bens, |event| {
        matches!(event, Event::Announced { intent_id, .. } if intent_id == last).then_some(())
    })
    .await;
    assert_eq!(ben.view().await.unwrap().intents.len(), 1);
}

#[tokio::test]
async fn a_terminal_works_beside_everything_else_and_leaves_the_agent_in_the_session() {
    let host = Host::start(&[]).await;
    let (ann, mut events) = host.join("Ann").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script("")).unwrap();
    let mut brain = ScriptedBrain::load(file.path(), ann.history()).unwrap();
    let options = unasked();
    let (wanted, _asked) = std::sync::mpsc::channel();
    let (typing, typed) = mpsc::unbounded_channel();
    let lines = Lines::default();
    let shown = lines.clone();
    let mut keyboard = Keyboard::played(wanted, typed, move |line| shown.add(&line), true);
    let person = async {
        typing.send(Typed::Line("task mend it".to_owned())).unwrap();
        lines.wait_for("done: a.py committed").await;
        typing.send(Typed::Line("quit".to_owned())).unwrap();
    };
    let (ended, ()) =
        tokio::join!(patiently(ann.run_interactive(&mut brain, options, &mut keyboard, false)), person);
    ended.unwrap();
    heard(&mut events, |event| matches!(event, Event::Committed { .. }).then_some(())).await;
    assert_eq!(ann.read_file("a.py").await.unwrap().unwrap().content, "new\n", "it is still there");
}
