//! A question, and when its answer could not be used, the answer and what was wrong with it.

use serde_json::{Value, json};

use crate::prompt::Question;
use crate::tools::Reply;

/// The `messages` of a request. With `last` and `repair` the model sees its own unusable answer again.
pub(super) fn messages(question: &Question, last: Option<&Reply>, repair: Option<String>) -> Vec<Value> {
    let asked = json!({"type": "text", "text": question.asked});
    // The API refuses an empty block.
    let blocks = if question.shared.is_empty() { vec![asked] } else { vec![kept(&question.shared), asked] };
    let question = json!({"role": "user", "content": blocks});
    let (Some(last), Some(repair)) = (last, repair) else { return vec![question] };
    let input: Option<Value> = match last {
        Reply::Tool { input, .. } => serde_json::from_str(input).ok().filter(Value::is_object),
        Reply::Text(_) => None,
    };
    let (answered, asked_again) = match (last, input) {
        (Reply::Tool { name, .. }, Some(input)) => (
            json!([{"type": "tool_use", "id": "toolu_first", "name": name, "input": input}]),
            json!([{"type": "tool_result", "tool_use_id": "toolu_first", "is_error": true, "content": repair}]),
        ),
        (Reply::Tool { input: text, .. } | Reply::Text(text), _) => {
            // The API refuses an empty or blank turn.
            let text = if text.trim().is_empty() { "(nothing)" } else { text.trim() };
            (json!(text), json!(repair))
        }
    };
    vec![
        question,
        json!({"role": "assistant", "content": answered}),
        json!({"role": "user", "content": asked_again}),
    ]
}

/// A block of text up to whose end the API may keep the request for the next one.
pub(super) fn kept(text: &str) -> Value {
    json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}})
}
