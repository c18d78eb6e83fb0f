//! The one line that answers a request.

use mpac_wire::Timestamp;
use mpac_wire::snapshot::Snapshot;
use serde::Serialize;

use super::failure::{Code, Failure};
use super::outputs::Outputs;

/// What a request is answered with.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// It is done.
    Done {},
    /// It is done, and led to this.
    Outputs(Outputs),
    Snapshot {
        snapshot: Box<Snapshot>,
    },
    Deadline {
        at: Option<Timestamp>,
    },
}

#[derive(Serialize)]
struct Good<'a> {
    ok: bool,
    #[serde(flatten)]
    answer: &'a Answer,
}

#[derive(Serialize)]
struct Bad<'a> {
    ok: bool,
    error: &'a Failure,
}

/// The line, with its end.
pub(super) fn line(outcome: &Result<Answer, Failure>) -> String {
    let written = match outcome {
        Ok(answer) => serde_json::to_string(&Good { ok: true, answer }),
        Err(error) => serde_json::to_string(&Bad { ok: false, error }),
    };
    let mut line = written.unwrap_or_else(|error| {
        // Text keys and JSON values: there is nothing in an answer that cannot be written. If there is, it is our bug.
        let message = format!("the answer cannot be written: {error}");
        let failure = Failure::new(Code::MalformedCommand, message);
        serde_json::to_string(&Bad { ok: false, error: &failure }).unwrap_or_default()
    });
    line = one_line(line);
    line.push('\n');
    line
}

/// A message that is passed on keeps its white space, and a reader may take more than `\n` for the end of a line.
fn one_line(json: String) -> String {
    let json = if json.contains(['\n', '\r']) { mpac_wire::layout::compact(&json) } else { json };
    // Node's readline ends lines here too. Inside strings, where alone they can stand, the escape means the same.
    if json.contains(['\u{2028}', '\u{2029}']) {
        return json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    }
    json
}
