//! What the tools take. The words here are read by models: they go into the JSON Schemas.

use mpac_wire::names::{AckType, Decision};
use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

use crate::brain::edits;

/// What tools that show lists take.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Look {
    /// The cursor of an answer with "more", to be told what was left out there. Leave it out to begin with the first.
    pub(super) after: Option<usize>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct BeginTask {
    /// What you are about to do, in one sentence; everybody in the session reads it.
    pub(super) objective: String,
    /// All files you will change, as paths relative to the shared workspace, with "/" (for example "src/money.py").
    #[schemars(length(min = 1))]
    pub(super) files: Vec<String>,
    /// Seconds until the task expires by itself; 1800 by default. Call begin_task with the same files again to renew it.
    #[schemars(range(min = 1))]
    pub(super) ttl_sec: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct CheckOverlap {
    /// The files you think of changing, relative to the shared workspace.
    #[schemars(length(min = 1))]
    pub(super) files: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct GetFileState {
    /// The file, relative to the shared workspace. Leave it out for the list of all files.
    pub(super) path: Option<String>,
    /// Without path: only the files whose paths begin like this, for example "src/". A long list is told in part only.
    pub(super) prefix: Option<String>,
    /// The line to begin with; 1 by default. A long file is told in parts, and the answer says with which line the next begins.
    #[schemars(range(min = 1))]
    pub(super) from_line: Option<usize>,
    /// How many lines to tell at most. Leave it out for as many as fit into one answer.
    #[schemars(range(min = 1))]
    pub(super) lines: Option<usize>,
    /// false: only the state, without the text, so a change cannot be based on it yet. true by default.
    pub(super) with_content: Option<bool>,
}

/// Some lines in place of others.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// Text that is in the file exactly once, copied exactly, white space included.
    search: String,
    /// What stands there afterwards.
    replace: String,
}

impl From<Edit> for edits::Edit {
    fn from(edit: Edit) -> Self {
        Self { search: edit.search, replace: edit.replace }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct SubmitChange {
    /// The file, relative to the shared workspace; a task of yours must cover it (begin_task).
    pub(super) path: String,
    /// The whole new text. Give either this or edits. In place of a file that is there it needs base_state_ref, and is refused when
    /// you have read that text in part only: it would erase the rest. Of a line that is too long to be told its beginning counts, so
    /// change such a file with edits.
    pub(super) content: Option<String>,
    /// Changes by search and replace, applied in order. Better than content for large files.
    pub(super) edits: Option<Vec<Edit>>,
    /// The state_ref of the text that your change is made from, as it was told with that text by get_file_state, by your last
    /// submit_change or by a refusal. Needed with content, unless the file is new; edits go by default on top of the state in which
    /// the file was last read or changed. If the file has another state by now, nothing is changed and you get the current text and state_ref:
    /// give that here once your change is on top of it, since repeating the same call is refused again.
    pub(super) base_state_ref: Option<String>,
    /// What the change does, in one sentence, for the others.
    pub(super) summary: Option<String>,
    /// The task it belongs to; by default your task that covers the file.
    pub(super) intent_id: Option<String>,
    /// Where changes have to be authorised: seconds to wait for that, at most 50; 45 by default. A change that still waits then is
    /// gone on with by the same call again.
    #[schemars(range(min = 1, max = 50))]
    pub(super) wait_sec: Option<u32>,
}

/// How a task ends.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// The work is done.
    Completed,
    /// Somebody else goes first.
    Yielded,
    /// It is given up.
    Cancelled,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct YieldTask {
    /// Which task; by default your only one.
    pub(super) intent_id: Option<String>,
    /// "completed" when the work is done, "yielded" (the default) when you leave the files to somebody else, "cancelled" when
    /// you give it up.
    pub(super) outcome: Option<Outcome>,
}

/// How a conflict is taken.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "snake_case")]
pub(super) enum Ack {
    Seen,
    Accepted,
    Disputed,
}

impl From<Ack> for AckType {
    fn from(ack: Ack) -> Self {
        match ack {
            Ack::Seen => Self::Seen,
            Ack::Accepted => Self::Accepted,
            Ack::Disputed => Self::Disputed,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct AckConflict {
    /// The conflict, from list_conflicts.
    pub(super) conflict_id: String,
    /// "seen" (the default): you know of it. "accepted": you agree that there is one. "disputed": you do not.
    pub(super) ack: Option<Ack>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct EscalateConflict {
    /// The conflict, from list_conflicts.
    pub(super) conflict_id: String,
    /// The principal id of an owner or arbiter, from who_is_working.
    pub(super) to: String,
    /// Why it needs a decision, in words that help to make it.
    pub(super) reason: String,
}

/// What is decided.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Approved,
    Rejected,
    Dismissed,
    HumanOverride,
    PolicyOverride,
    Merged,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approved => Self::Approved,
            Verdict::Rejected => Self::Rejected,
            Verdict::Dismissed => Self::Dismissed,
            Verdict::HumanOverride => Self::HumanOverride,
            Verdict::PolicyOverride => Self::PolicyOverride,
            Verdict::Merged => Self::Merged,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveConflict {
    /// The conflict, from list_conflicts; also the id of a claim or a proposal that waits for approval.
    pub(super) conflict_id: String,
    /// "dismissed": it was none. "approved" or "rejected": with the ids under accepted and rejected. "merged": both went in.
    pub(super) decision: Verdict,
    /// Why it is decided so, for the others.
    pub(super) rationale: Option<String>,
    /// Ids of intents or operations that go on.
    #[serde(default)]
    pub(super) accepted: Vec<String>,
    /// Ids of intents or operations that are turned down; those intents end.
    #[serde(default)]
    pub(super) rejected: Vec<String>,
    /// How a commit that is turned down is undone; needed when one is.
    pub(super) rollback: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct TakeOverTask {
    /// The suspended task, from who_is_working.
    pub(super) intent_id: String,
    /// What you will do there; by default what its owner said.
    pub(super) objective: Option<String>,
    /// Which of its files; all by default.
    #[serde(default)]
    pub(super) files: Vec<String>,
    /// Why you take it over, for whoever decides about it.
    pub(super) justification: Option<String>,
    /// Seconds to wait for the decision, at most 50; 45 by default. Sessions usually give the owner 30 s to come back first.
    #[schemars(range(min = 1, max = 50))]
    pub(super) wait_sec: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct Defer {
    /// The files that you leave to whoever works there.
    #[schemars(length(min = 1))]
    pub(super) files: Vec<String>,
    /// Why, for the others; "yielded" by default.
    pub(super) reason: Option<String>,
    /// Seconds until the deferral is over by itself.
    #[schemars(range(min = 1))]
    pub(super) ttl_sec: Option<u32>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "snake_case")]
pub(super) enum Until {
    /// Anything happens that concerns the files, or anything at all when there are none.
    #[default]
    Change,
    /// Nobody else works on the files any more.
    Free,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(deny_unknown_fields)]
pub(super) struct WaitForChange {
    /// Only what concerns these files. Without them everything counts that others do.
    #[serde(default)]
    pub(super) files: Vec<String>,
    /// "change" (the default): until somebody else does something. "free": until nobody else works on the files.
    #[serde(default)]
    pub(super) until: Until,
    /// At most so many seconds, 30 by default; hosts often break off tools that take more than 60.
    #[schemars(range(min = 1, max = 600))]
    pub(super) timeout_sec: Option<u32>,
    /// The cursor of an earlier answer, to go on from there; by default from the last answer of this tool. Where more has
    /// happened since than is kept, the answer says so, and that may be about other files.
    pub(super) after: Option<u64>,
}
