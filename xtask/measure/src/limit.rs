//! The limit: every message read into types that borrow from its text, and written again; no rules, no state.
//!
//! These are the types and the variant `serde_json typed, borrowed` of the program that the limit was first measured with,
//! so that figures compare.

use std::borrow::Cow;
use std::hint::black_box;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::input::{Input, Part};
use crate::{Failure, clock};

/// Reads and writes the whole stream several times, and prints the rates of each.
///
/// # Errors
/// The stream cannot be read.
pub(crate) fn run(path: &Path) -> Result<(), Failure> {
    const ROUNDS: usize = 4;
    let mut input = Input::open(path)?;
    let lines = input.meta.phases.iter().map(|(_, lines)| lines).sum();
    let mut part = Part::default();
    input.next(lines, &mut part)?;
    let wrong = |error: serde_json::Error| Failure::Stream { path: path.into(), problem: error.to_string() };
    let mut out = Vec::with_capacity(4096);
    let (mut read, mut both) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        let begin = clock::cpu()?;
        for line in part.lines() {
            black_box(serde_json::from_str::<Envelope<'_>>(line).map_err(wrong)?);
        }
        let between = clock::cpu()?;
        for line in part.lines() {
            out.clear();
            let message: Envelope<'_> = serde_json::from_str(line).map_err(wrong)?;
            serde_json::to_writer(&mut out, &message).map_err(wrong)?;
            black_box(&out);
        }
        let rate = |seconds: f64| lines as f64 / seconds;
        read = read.max(rate((between - begin).as_secs_f64()));
        both = both.max(rate((clock::cpu()? - between).as_secs_f64()));
    }
    println!("{}", json!({ "messages": lines, "read_per_cpu_s": read, "read_and_write_per_cpu_s": both }));
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct Sender<'a> {
    #[serde(borrow)]
    principal_id: Cow<'a, str>,
    #[serde(borrow)]
    principal_type: Cow<'a, str>,
    #[serde(borrow)]
    sender_instance_id: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
struct Watermark<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    value: u64,
}

#[derive(Serialize, Deserialize)]
struct Scope<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<Cow<'a, str>>>,
}

/// A union of the payload fields that the streams use.
#[derive(Serialize, Deserialize)]
struct Payload<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    intent_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    objective: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    op_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    op_kind: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    state_ref_before: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    state_ref_after: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    status: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    active_intent_id: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    display_name: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    capabilities: Option<Vec<Cow<'a, str>>>,
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    protocol: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow)]
    message_id: Cow<'a, str>,
    #[serde(borrow)]
    session_id: Cow<'a, str>,
    #[serde(borrow)]
    sender: Sender<'a>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    #[serde(borrow)]
    payload: Payload<'a>,
    #[serde(borrow)]
    watermark: Watermark<'a>,
}
