//! Reading a streamed answer of the Messages API: server-sent events in, one [`Reply`] out.
//!
//! [`Answer`] is a fold without IO: [`Answer::take`] per event, [`Answer::finish`] at the end. An answer
//! counts only when `message_stop` arrived and the model stopped by itself.

use serde::Deserialize;

use super::BrainError;
use super::partial::{Partial, Piece};
use super::usage::Usage;
use crate::tools::Reply;

/// An answer longer than this many bytes is thrown away; a commit could not carry it anyway.
const MAX_ANSWER_BYTES: usize = 4 << 20;

/// So many bytes of an answer count as a token until the API says how many there were. Most texts have more bytes to a token,
/// so that rather too much is counted than too little.
const BYTES_TO_A_TOKEN: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum StreamEvent {
    MessageStart {
        message: MessageStart,
    },
    ContentBlockStart {
        content_block: Block,
    },
    ContentBlockDelta {
        delta: Delta,
    },
    MessageDelta {
        delta: MessageDelta,
        #[serde(default)]
        usage: Option<Usage>,
    },
    MessageStop,
    Error {
        error: ApiError,
    },
    /// `content_block_stop`, `ping`, and kinds that come later.
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    ToolUse {
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct MessageStart {
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Debug, Deserialize)]
struct MessageDelta {
    #[serde(default)]
    stop_reason: Option<String>,
}

/// The `error` object of the API, in a stream or as the body of an HTTP error.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ApiError {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) message: String,
}

/// Why a stream did not become an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamFault {
    /// Nothing is wrong with the question: asking again may help.
    Passing(String),
    /// Asking again would end the same way.
    Final(BrainError),
}

/// What is known of what an answer has used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Used {
    /// No part of it has come.
    #[default]
    Nothing,
    /// Something has come, and not a word of what it used.
    Unsaid,
    /// So much.
    Known(Usage),
}

/// The answer so far.
#[derive(Debug)]
pub(super) struct Answer {
    text: String,
    tool: Option<(String, String)>,
    partial: Partial,
    has_begun: bool,
    usage: Usage,
    /// `usage` has what was written: the API says it at the end.
    is_counted: bool,
    stop_reason: Option<String>,
    stopped: bool,
}

impl Answer {
    /// An answer that has not begun. The field `told` of the tool's input is told as it comes.
    pub(super) fn new(told: &'static str) -> Self {
        Self {
            text: String::new(),
            tool: None,
            partial: Partial::new(told),
            has_begun: false,
            usage: Usage::default(),
            is_counted: false,
            stop_reason: None,
            stopped: false,
        }
    }

    /// Takes the `data` of one event, and says what of it people may see.
    pub(super) fn take(&mut self, data: &str) -> Result<Vec<Piece>, StreamFault> {
        let event: StreamEvent = serde_json::from_str(data)
            .map_err(|error| StreamFault::Final(BrainError::Broken(format!("stream event: {error}"))))?;
        self.has_begun |= !matches!(event, StreamEvent::Error { .. } | StreamEvent::Other);
        let mut pieces = Vec::new();
        match event {
            StreamEvent::MessageStart { message } => self.count(message.usage),
            StreamEvent::ContentBlockStart { content_block: Block::ToolUse { name } } => {
                // One tool is offered and one use asked for; a second block would be a second opinion.
                self.tool.get_or_insert_with(|| (name, String::new()));
            }
            StreamEvent::ContentBlockDelta { delta: Delta::Text { text } } => self.text.push_str(&text),
            StreamEvent::ContentBlockDelta { delta: Delta::InputJson { partial_json } } => {
                let (_, input) = self.tool.as_mut().ok_or_else(|| {
                    StreamFault::Final(BrainError::Broken("tool input before the tool".to_owned()))
                })?;
                input.push_str(&partial_json);
                pieces = self.partial.push(&partial_json);
            }
            StreamEvent::MessageDelta { delta, usage } => {
                self.is_counted |= usage.is_some_and(|usage| usage.output > 0);
                self.count(usage);
                self.stop_reason = delta.stop_reason.or_else(|| self.stop_reason.take());
            }
            StreamEvent::MessageStop => self.stopped = true,
            StreamEvent::Error { error } => return Err(in_stream(error)),
            StreamEvent::ContentBlockStart { content_block: Block::Other }
            | StreamEvent::ContentBlockDelta { delta: Delta::Other }
            | StreamEvent::Other => {}
        }
        if self.received() > MAX_ANSWER_BYTES {
            let why = format!("longer than {MAX_ANSWER_BYTES} bytes");
            return Err(StreamFault::Final(BrainError::Broken(why)));
        }
        Ok(pieces)
    }

    /// The counts are totals so far; an event may leave out those that it does not change.
    fn count(&mut self, usage: Option<Usage>) {
        let Some(said) = usage else { return };
        let known = self.usage;
        self.usage = Usage {
            input: known.input.max(said.input),
            output: known.output.max(said.output),
            cache_write: known.cache_write.max(said.cache_write),
            cache_read: known.cache_read.max(said.cache_read),
        };
    }

    /// What the answer has used up, as far as the API has said. What was written is estimated from what has come until it
    /// is said: the first count of it that comes is that of an answer that has just begun.
    pub(super) fn used(&self) -> Used {
        let mut usage = self.usage;
        if usage == Usage::default() {
            return if self.has_begun { Used::Unsaid } else { Used::Nothing };
        }
        if !self.is_counted {
            let tokens = self.received().div_ceil(BYTES_TO_A_TOKEN);
            usage.output = usage.output.max(u64::try_from(tokens).unwrap_or(u64::MAX));
        }
        Used::Known(usage)
    }

    /// Is the answer complete?
    pub(super) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Bytes of content so far.
    pub(super) fn received(&self) -> usize {
        self.text.len() + self.tool.as_ref().map_or(0, |(_, input)| input.len())
    }

    /// The whole answer, when there is one. `max_tokens` is the limit the request set.
    pub(super) fn finish(self, max_tokens: u32) -> Result<Reply, StreamFault> {
        if !self.stopped {
            return Err(StreamFault::Passing("the answer broke off".to_owned()));
        }
        match self.stop_reason.as_deref() {
            Some("end_turn" | "tool_use" | "stop_sequence") => {}
            Some("max_tokens") => return Err(StreamFault::Final(BrainError::CutOff(max_tokens))),
            Some("refusal") => return Err(StreamFault::Final(BrainError::Declined)),
            other => {
                let why = format!("it stopped for the reason {}", other.unwrap_or("(none)"));
                return Err(StreamFault::Final(BrainError::Broken(why)));
            }
        }
        Ok(match self.tool {
            Some((name, input)) => Reply::Tool { name, input },
            None => Reply::Text(self.text),
        })
    }
}

fn in_stream(error: ApiError) -> StreamFault {
    let text = format!("{}: {}", error.kind, error.message);
    match error.kind.as_str() {
        "overloaded_error" | "rate_limit_error" | "api_error" | "timeout_error" => StreamFault::Passing(text),
        _ => StreamFault::Final(BrainError::Broken(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOP: &str = r#"{"type":"message_stop"}"#;
    const COUNTED: &str = r#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":9,"cache_read_input_tokens":80,"output_tokens":1}}}"#;

    fn read(events: &[&str]) -> Result<Reply, StreamFault> {
        let mut answer = Answer::new("content");
        events.iter().try_for_each(|event| answer.take(event).map(|_| ()))?;
        answer.finish(100)
    }

    fn stop(reason: &str) -> String {
        format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":3}}}}"#
        )
    }

    #[test]
    fn a_tool_input_is_put_together_from_its_pieces() {
        let reply = read(&[
            r#"{"type":"message_start","message":{"id":"m"}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"write_file","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"con"}}"#,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"tent\":\"x\"}"}}"#,
            r#"{"type":"content_block_stop","index":0}"#,
            &stop("tool_use"),
            STOP,
        ]);
        let (name, input) = ("write_file".to_owned(), r#"{"content":"x"}"#.to_owned());
        assert_eq!(reply, Ok(Reply::Tool { name, input }));
    }

    #[test]
    fn tokens_are_counted_from_the_first_event_to_the_last_that_tells() {
        let mut answer = Answer::new("content");
        assert_eq!(answer.used(), Used::Nothing);
        answer.take(COUNTED).unwrap();
        let told = |output| Used::Known(Usage { input: 9, output, cache_write: 0, cache_read: 80 });
        assert_eq!(answer.used(), told(1));
        answer
            .take(
                r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"seventeen letters"}}"#,
            )
            .unwrap();
        assert_eq!(answer.used(), told(6), "an estimate, while the API has not said");
        answer.take(&stop("end_turn")).unwrap();
        assert_eq!(answer.used(), told(3));
    }

    #[test]
    fn an_answer_that_says_nothing_of_its_tokens_is_told_from_one_that_has_not_begun() {
        let used = |event: &str| {
            let mut answer = Answer::new("content");
            let _ = answer.take(event);
            answer.used()
        };
        for event in [r#"{"type":"message_start","message":{"id":"m"}}"#, STOP] {
            assert_eq!(used(event), Used::Unsaid, "{event}");
        }
        let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#;
        for event in [r#"{"type":"ping"}"#, overloaded] {
            assert_eq!(used(event), Used::Nothing, "{event}");
        }
    }

    #[test]
    fn what_people_may_see_comes_with_the_event_that_brings_it() {
        let mut answer = Answer::new("content");
        let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"write_file","input":{}}}"#;
        assert_eq!(answer.take(start).unwrap(), []);
        let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"content\":\"one"}}"#;
        assert_eq!(answer.take(delta).unwrap(), [Piece::Text("one".to_owned())]);
    }

    #[test]
    fn text_without_a_tool_is_text() {
        let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi "}}"#;
        assert_eq!(read(&[delta, delta, &stop("end_turn"), STOP]), Ok(Reply::Text("hi hi ".to_owned())));
    }

    #[test]
    fn kinds_we_do_not_know_are_passed_over() {
        let later = [
            r#"{"type":"later","x":1}"#,
            r#"{"type":"content_block_start","content_block":{"type":"thinking","thinking":""}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        ];
        assert_eq!(
            read(&[later[0], later[1], later[2], &stop("end_turn"), STOP]),
            Ok(Reply::Text(String::new()))
        );
    }

    #[test]
    fn a_truncated_answer_is_never_an_answer() {
        let fault = read(&[&stop("max_tokens"), STOP]).unwrap_err();
        assert_eq!(fault, StreamFault::Final(BrainError::CutOff(100)));
    }

    #[test]
    fn a_stream_that_ends_early_may_be_asked_again() {
        assert!(matches!(read(&[&stop("end_turn")]), Err(StreamFault::Passing(_))));
        assert!(matches!(read(&[]), Err(StreamFault::Passing(_))));
    }

    #[test]
    fn an_overloaded_stream_may_be_asked_again_and_an_invalid_one_not() {
        let error =
            |kind: &str| read(&[&format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}}}}"#)]);
        assert_eq!(error("overloaded_error"), Err(StreamFault::Passing("overloaded_error: m".to_owned())));
        assert!(matches!(error("invalid_request_error"), Err(StreamFault::Final(_))));
    }

    #[test]
    fn malformed_events_are_refused() {
        for event in [
            "",
            "{",
            "[]",
            r#"{"type":7}"#,
            r#"{"no_type":1}"#,
            r#"{"type":"content_block_delta","delta":{}}"#,
        ] {
            assert!(matches!(read(&[event]), Err(StreamFault::Final(_))), "{event}");
        }
        let orphan =
            r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#;
        assert!(matches!(read(&[orphan]), Err(StreamFault::Final(_))));
    }

    #[test]
    fn an_unknown_stop_reason_is_not_trusted() {
        assert!(matches!(read(&[&stop("later"), STOP]), Err(StreamFault::Final(_))));
    }

    #[test]
    fn a_refusal_says_so() {
        assert_eq!(read(&[&stop("refusal"), STOP]), Err(StreamFault::Final(BrainError::Declined)));
    }
}
