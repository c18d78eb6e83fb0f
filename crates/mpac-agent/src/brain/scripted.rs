//! A brain that reads its answers from a file: for the demo, for tests, and for trying things without a key.
//!
//! ```json
//! {
//!   "plan": {"objective": "Compare passwords in constant time", "files": ["auth.py"], "new_files": []},
//!   "on_conflict": "proceed",
//!   "reason": "We touch different functions.",
//!   "edits": {
//!     "auth.py": [{"find": "a == b", "replace": "hmac.compare_digest(a, b)"}]
//!   },
//!   "wait_for": [{"before": "write", "event": "OP_COMMIT", "from": "agent:Alice"}],
//!   "pace_ms": 400
//! }
//! ```
//!
//! | Key | Meaning |
//! |---|---|
//! | `plan` | `objective` and `files`; `new_files` for files to create; `in_order` (true or false) as in [`Plan`]. It goes through the same checks as a model's plan |
//! | `on_conflict` | `proceed` (the default) or `yield`, whatever the conflict |
//! | `reason` | why, shown to people; optional |
//! | `edits` | per file a list of `find` and `replace`, applied in order to the *current* content, so a rebase applies them again to the new one. `find` must occur exactly once; an empty `find` appends `replace` to the end (that is how a new file gets its text) |
//! | `wait_for` | before an answer (`plan`, `decide`, `write`) or before what was written is committed (`commit`) wait until a message of type `event` from somebody else (`from`, when given) has been seen since connecting. No clock: it waits for the event |
//! | `pace_ms` | pause before each answer, in milliseconds, only so that people can follow; default 0 |
//! | `commit_pace_ms` | the same before each commit |
//!
//! An unknown key is an error that names it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;

use super::edits::replace_once;
use super::{
    Brain, BrainError, Choice, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written,
};
use crate::history::{History, Sighting};

/// How long a script waits for an event before it gives up.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// The file's content. See the module's documentation for the keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    plan: ScriptPlan,
    #[serde(default)]
    on_conflict: OnConflict,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    edits: BTreeMap<String, Vec<Edit>>,
    #[serde(default)]
    wait_for: Vec<WaitFor>,
    #[serde(default)]
    pace_ms: u64,
    #[serde(default)]
    commit_pace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptPlan {
    objective: String,
    files: Vec<String>,
    #[serde(default)]
    new_files: Vec<String>,
    #[serde(default)]
    in_order: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnConflict {
    #[default]
    Proceed,
    Yield,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    find: String,
    replace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct WaitFor {
    before: Moment,
    event: String,
    #[serde(default)]
    from: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Moment {
    Plan,
    Decide,
    Write,
    Commit,
}

/// Answers from a script.
#[derive(Debug, Clone)]
pub struct ScriptedBrain {
    file: String,
    script: Script,
    history: History,
}

impl ScriptedBrain {
    /// Reads the script. `history` is what the connection has seen so far, for `wait_for`.
    ///
    /// # Errors
    /// [`BrainError::Script`] when the file cannot be read, is not JSON, or has a key that does not exist.
    pub fn load(path: &Path, history: History) -> Result<Self, BrainError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| BrainError::Script { file: file.clone(), why: error.to_string() })?;
        Self::parse(file, &text, history)
    }

    /// Reads a script from its text; `file` is its name in errors.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(file: String, text: &str, history: History) -> Result<Self, BrainError> {
        match serde_json::from_str(text) {
            Ok(script) => Ok(Self { file, script, history }),
            Err(error) => Err(BrainError::Script { file, why: error.to_string() }),
        }
    }

    fn error(&self, why: String) -> BrainError {
        BrainError::Script { file: self.file.clone(), why }
    }

    /// Everything `wait_for` asks for at this moment.
    async fn await_others(&mut self, moment: Moment, notes: &Notes) -> Result<(), BrainError> {
        let waits: Vec<WaitFor> =
            self.script.wait_for.iter().filter(|wait| wait.before == moment).cloned().collect();
        for wait in waits {
            let wanted = Sighting { message_type: wait.event, from: wait.from };
            if !self.history.has(&wanted) {
                notes.say(Note::WaitingFor(wanted.to_string()));
            }
            match tokio::time::timeout(WAIT_LIMIT, self.history.wait(&wanted)).await {
                Ok(true) => {}
                Ok(false) => return Err(self.error(format!("connection ended while waiting for {wanted}"))),
                Err(_) => {
                    return Err(self.error(format!("waited {} s for {wanted}", WAIT_LIMIT.as_secs())));
                }
            }
        }
        Ok(())
    }

    /// [`await_others`](Self::await_others), then the pace.
    async fn hold(&mut self, moment: Moment, notes: &Notes) -> Result<(), BrainError> {
        self.await_others(moment, notes).await?;
        let pace = if moment == Moment::Commit { self.script.commit_pace_ms } else { self.script.pace_ms };
        // Not a wait for anything: it only gives people time to read.
        tokio::time::sleep(Duration::from_millis(pace)).await;
        Ok(())
    }

    fn rewrite(&self, path: &str, content: String) -> Result<String, BrainError> {
        let edits = self
            .script
            .edits
            .get(path)
            .ok_or_else(|| self.error(format!("`edits` has nothing for {path}, which the plan names")))?;
        edits.iter().enumerate().try_fold(content, |text, (index, edit)| {
            apply(&text, edit)
                .map_err(|why| self.error(format!("`edits` for {path}, number {}: {why}", index + 1)))
        })
    }
}

fn apply(text: &str, edit: &Edit) -> Result<String, String> {
    if edit.find.is_empty() {
        return Ok(format!("{text}{}", edit.replace));
    }
    replace_once(text, &edit.find, &edit.replace).map_err(|count| match count {
        0 => format!("the file does not contain {:?}", edit.find),
        count => format!("the file contains {:?} {count} times; make `find` longer", edit.find),
    })
}

impl Brain for ScriptedBrain {
    fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
        async move {
            if let Some(fault) = ask.fault {
                return Err(self.error(format!("`plan` cannot be used: {fault}")));
            }
            self.hold(Moment::Plan, notes).await?;
            let ScriptPlan { objective, files, new_files, in_order } = self.script.plan.clone();
            Ok(Plan { objective, files, new_files, in_order })
        }
        .boxed()
    }

    fn decide_conflict<'a>(
        &'a mut self,
        _ask: ConflictAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Decision, BrainError>> {
        async move {
            self.hold(Moment::Decide, notes).await?;
            let choice = match self.script.on_conflict {
                OnConflict::Proceed => Choice::Proceed,
                OnConflict::Yield => Choice::Yield,
            };
            let reason = self.script.reason.clone().unwrap_or_else(|| "the script says so".to_owned());
            Ok(Decision { choice, reason })
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>> {
        async move {
            self.hold(Moment::Write, notes).await?;
            let content = self.rewrite(&ask.path, ask.content)?;
            Ok(Written { content, summary: Some(ask.plan.objective) })
        }
        .boxed()
    }

    fn before_commit<'a>(&'a mut self, notes: &'a Notes) -> BoxFuture<'a, Result<(), BrainError>> {
        self.hold(Moment::Commit, notes).boxed()
    }

    fn fork(&self) -> Option<Box<dyn Brain>> {
        Some(Box::new(self.clone()))
    }

    fn model_id(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history;

    const SCRIPT: &str =
        r#"{"plan":{"objective":"o","files":["a"]},"edits":{"a":[{"find":"x","replace":"y"}]}}"#;

    fn brain(text: &str) -> Result<ScriptedBrain, BrainError> {
        ScriptedBrain::parse("s.json".to_owned(), text, history::channel().1)
    }

    fn write(content: &str) -> WriteAsk {
        let plan = Plan { objective: "o".to_owned(), files: vec!["a".to_owned()], ..Plan::default() };
        WriteAsk {
            task: String::new(),
            plan,
            path: "a".to_owned(),
            content: content.to_owned(),
            rebased: false,
            written: vec![],
            whole: false,
            fault: None,
        }
    }

    #[test]
    fn the_example_of_the_documentation_is_a_script() {
        let source = include_str!("scripted.rs");
        let example: String = source
            .lines()
            .skip_while(|line| *line != "//! ```json")
            .skip(1)
            .take_while(|line| *line != "//! ```")
            .map(|line| format!("{}\n", line.trim_start_matches("//!")))
            .collect();
        assert_eq!(brain(&example).unwrap().script.pace_ms, 400);
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = brain(r#"{"plan":{"objective":"o","files":[]},"edit":{}}"#).unwrap_err().to_string();
        assert!(error.starts_with("script s.json:") && error.contains("`edit`"), "{error}");
        let error = brain(r#"{"plan":{"objective":"o","files":[],"file":1}}"#).unwrap_err().to_string();
        assert!(error.contains("`file`"), "{error}");
    }

    #[test]
    fn an_unknown_decision_or_moment_is_named() {
        let error =
            brain(r#"{"plan":{"objective":"o","files":[]},"on_conflict":"maybe"}"#).unwrap_err().to_string();
        assert!(error.contains("`maybe`"), "{error}");
        let script = r#"{"plan":{"objective":"o","files":[]},"wait_for":[{"before":"leave","event":"X"}]}"#;
        assert!(brain(script).unwrap_err().to_string().contains("`leave`"));
    }

    #[tokio::test]
    async fn edits_apply_to_whatever_the_file_is_now() {
        let mut brain = brain(SCRIPT).unwrap();
        let notes = Notes::unread();
        assert_eq!(brain.write_file(write("1 x"), &notes).await.unwrap().content, "1 y");
        assert_eq!(brain.write_file(write("0\n1 x\n2"), &notes).await.unwrap().content, "0\n1 y\n2");
    }

    #[tokio::test]
    async fn an_edit_that_does_not_fit_says_which_and_why() {
        let mut brain = brain(SCRIPT).unwrap();
        let notes = Notes::unread();
        let none = brain.write_file(write("nothing"), &notes).await.unwrap_err().to_string();
        assert!(none.contains("`edits` for a, number 1: the file does not contain \"x\""), "{none}");
        let twice = brain.write_file(write("x x"), &notes).await.unwrap_err().to_string();
        assert!(twice.contains("2 times"), "{twice}");
    }

    #[tokio::test]
    async fn an_empty_find_appends() {
        let mut brain = brain(
            r#"{"plan":{"objective":"o","files":["a"]},"edits":{"a":[{"find":"","replace":"new\n"}]}}"#,
        )
        .unwrap();
        assert_eq!(brain.write_file(write(""), &Notes::unread()).await.unwrap().content, "new\n");
    }

    #[tokio::test]
    async fn a_file_without_edits_is_an_error() {
        let mut brain = brain(r#"{"plan":{"objective":"o","files":["a"]}}"#).unwrap();
        let error = brain.write_file(write(""), &Notes::unread()).await.unwrap_err().to_string();
        assert!(error.contains("nothing for a"), "{error}");
    }

    #[tokio::test]
    async fn an_answer_waits_for_its_event_and_not_longer() {
        let (recorder, history) = history::channel();
        let script = r#"{"plan":{"objective":"o","files":[]},"wait_for":[{"before":"plan","event":"OP_COMMIT","from":"agent:A"}]}"#;
        let mut brain = ScriptedBrain::parse("s".to_owned(), script, history).unwrap();
        let (notes, mut heard) = Notes::channel();
        let ask = PlanAsk { task: String::new(), files: vec![], fault: None };
        let mut plan = brain.plan(ask, &notes);
        assert!(plan.as_mut().now_or_never().is_none());
        assert_eq!(heard.recv().await, Some(Note::WaitingFor("OP_COMMIT from agent:A".to_owned())));
        recorder.record("OP_COMMIT", "agent:B");
        assert!(plan.as_mut().now_or_never().is_none());
        recorder.record("OP_COMMIT", "agent:A");
        assert_eq!(plan.await.unwrap().objective, "o");
    }

    #[tokio::test]
    async fn a_commit_waits_for_its_event_after_the_text_was_written() {
        let (recorder, history) = history::channel();
        let script = r#"{"plan":{"objective":"o","files":["a"]},"edits":{"a":[]},"wait_for":[{"before":"commit","event":"OP_COMMIT"}]}"#;
        let mut brain = ScriptedBrain::parse("s".to_owned(), script, history).unwrap();
        let notes = Notes::unread();
        assert_eq!(brain.write_file(write("x"), &notes).await.unwrap().content, "x");
        let mut commit = brain.before_commit(&notes);
        assert!(commit.as_mut().now_or_never().is_none());
        recorder.record("OP_COMMIT", "agent:A");
        commit.await.unwrap();
    }

    #[tokio::test]
    async fn waiting_ends_with_the_connection() {
        let (recorder, history) = history::channel();
        let script =
            r#"{"plan":{"objective":"o","files":[]},"wait_for":[{"before":"plan","event":"OP_COMMIT"}]}"#;
        let mut brain = ScriptedBrain::parse("s".to_owned(), script, history).unwrap();
        drop(recorder);
        let ask = PlanAsk { task: String::new(), files: vec![], fault: None };
        assert!(brain.plan(ask, &Notes::unread()).await.is_err());
    }
}
