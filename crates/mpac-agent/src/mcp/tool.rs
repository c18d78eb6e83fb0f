//! The table of tools, and the way from a name to its function.

use std::sync::Arc;

use rmcp::handler::server::common::schema_for_type;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use super::answer::Answer;
use super::bridge::Bridge;
use super::{acting, input, looking, reading, settling, waiting};

/// What a model is told before it calls anything.
pub(super) const INSTRUCTIONS: &str = "\
You share a workspace with other people and agents. Before you change a shared file, tell the others with begin_task; read it with \
get_file_state, change it with submit_change (not on disk): by edits, or by the whole content with the base_state_ref that it is made from. End the task with yield_task. When begin_task is refused because \
somebody holds the files, call defer, then wait_for_change with until=\"free\", read them anew and try again, or do something else \
first. A change on top of an old text is refused and you get the current one: redo it on that, with its base_state_ref. Refusals say the rule, who holds what, \
the time left and the next step: follow it.";

/// A row: name, title, what it does, whether it only looks, what it takes.
type Row = (&'static str, &'static str, &'static str, bool, fn() -> Arc<JsonObject>);

const TOOLS: [Row; 13] = [
    (
        "who_is_working",
        "Who is working",
        "Shows who is in the session, which tasks they have announced on which files and for how long yet, and who waits for what; with \"more\" call it again with after for the rest. Call it before you choose what to do.",
        true,
        schema_for_type::<input::Look>,
    ),
    (
        "begin_task",
        "Begin a task",
        "Announces that you are about to change these files, and takes them. Do this before any submit_change. Refused when somebody else works on them and the session locks files; elsewhere it succeeds and reports the conflict.",
        false,
        schema_for_type::<input::BeginTask>,
    ),
    (
        "check_overlap",
        "Check for overlap",
        "Tells whether somebody else works on these files, who, for what and how long yet, without announcing anything.",
        true,
        schema_for_type::<input::CheckOverlap>,
    ),
    (
        "get_file_state",
        "Read a shared file",
        "Reads a file of the shared workspace: its text, its state_ref (which submit_change builds on), who changed it last and who works on it; a long one in parts, by from_line. Without a path it lists the files. Read again after every wait.",
        true,
        schema_for_type::<input::GetFileState>,
    ),
    (
        "submit_change",
        "Submit a change",
        "Commits a new text of one shared file for everybody, under a task of yours that covers it: by edits, or by the whole content, which needs the base_state_ref of the text that it is made from. If the file has changed since you read it nothing is overwritten: you get the current text, to redo the change on. In a session that authorises changes first it may wait for approval: submit the same again then.",
        false,
        schema_for_type::<input::SubmitChange>,
    ),
    (
        "yield_task",
        "End or yield a task",
        "Ends a task of yours and frees its files: when the work is done (outcome \"completed\"), or to let somebody else go first.",
        false,
        schema_for_type::<input::YieldTask>,
    ),
    (
        "ack_conflict",
        "Acknowledge a conflict",
        "Tells the others that you know of a conflict that concerns you, and how you take it.",
        false,
        schema_for_type::<input::AckConflict>,
    ),
    (
        "escalate_conflict",
        "Escalate a conflict",
        "Hands a conflict that you cannot settle among yourselves to an owner or arbiter, who decides.",
        false,
        schema_for_type::<input::EscalateConflict>,
    ),
    (
        "resolve_conflict",
        "Resolve a conflict",
        "Settles a conflict, or decides on a claim or proposal that waits for approval. Needs the role of an owner or arbiter; others use escalate_conflict.",
        false,
        schema_for_type::<input::ResolveConflict>,
    ),
    (
        "take_over_task",
        "Take over a task",
        "Goes on with a task whose owner is gone or has handed it over (who_is_working shows it as suspended), and waits for the decision. A task whose owner is at work cannot be taken over.",
        false,
        schema_for_type::<input::TakeOverTask>,
    ),
    (
        "defer",
        "Defer to somebody",
        "Tells the others that you leave these files to whoever works there now, and wait for them. Follow it with wait_for_change until=\"free\".",
        false,
        schema_for_type::<input::Defer>,
    ),
    (
        "list_conflicts",
        "List the conflicts",
        "Shows the conflicts that are not settled, who is in them, and which concern you; with \"more\" call it again with after for the rest.",
        true,
        schema_for_type::<input::Look>,
    ),
    (
        "wait_for_change",
        "Wait for a change",
        "Waits until others do something (what has happened since the last call is told at once; with \"more\" call it again for the rest), or, with until=\"free\", until nobody else works on the files. Ends after timeout_sec in any case.",
        true,
        schema_for_type::<input::WaitForChange>,
    ),
];

/// All of them, for the host.
pub(super) fn all() -> Vec<Tool> {
    let tool = |(name, title, description, looks, schema): Row| {
        let hints = ToolAnnotations::new().read_only(looks).destructive(false).open_world(false);
        Tool::new(name, description, schema()).with_title(title).with_annotations(hints)
    };
    TOOLS.into_iter().map(tool).collect()
}

/// Calls one; `None` when there is none of this name. Arguments that do not fit are told to the model as well, which can mend them.
pub(super) async fn call(bridge: &Bridge, name: &str, arguments: JsonObject) -> Option<Answer> {
    macro_rules! called {
        ($tool:path) => {
            match serde_json::from_value(Value::Object(arguments)) {
                Ok(asked) => $tool(bridge, asked).await,
                Err(misfit) => return Some(Answer::misused(name, &misfit.to_string())),
            }
        };
    }
    let done = match name {
        "who_is_working" => called!(looking::who_is_working),
        "begin_task" => called!(acting::begin_task),
        "check_overlap" => called!(looking::check_overlap),
        "get_file_state" => called!(reading::get_file_state),
        "submit_change" => called!(acting::submit_change),
        "yield_task" => called!(acting::yield_task),
        "ack_conflict" => called!(settling::ack_conflict),
        "escalate_conflict" => called!(settling::escalate_conflict),
        "resolve_conflict" => called!(settling::resolve_conflict),
        "take_over_task" => called!(acting::take_over_task),
        "defer" => called!(settling::defer),
        "list_conflicts" => called!(looking::list_conflicts),
        "wait_for_change" => called!(waiting::wait_for_change),
        _ => return None,
    };
    Some(match done {
        Ok(answer) => answer,
        Err(error) => Answer::refused(name, &error, bridge.view().await.as_ref()),
    })
}
