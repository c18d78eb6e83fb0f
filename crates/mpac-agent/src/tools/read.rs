//! From what a model filled in to what the workflow works with.

use serde::Deserialize;

use super::{Reply, Tool};
use crate::brain::edits::{self, Edit};
use crate::brain::{BrainError, Choice, Decision, Plan, Written};

#[derive(Deserialize)]
struct PlanInput {
    objective: String,
    files: Vec<String>,
    #[serde(default)]
    new_files: Vec<String>,
    #[serde(default)]
    in_order: Option<bool>,
}

#[derive(Deserialize)]
struct DecisionInput {
    decision: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct WriteInput {
    content: String,
    #[serde(default)]
    summary: Option<String>,
}

#[derive(Deserialize)]
struct EditInput {
    edits: Vec<Edit>,
    #[serde(default)]
    summary: Option<String>,
}

/// Reads the answer to a `plan_task` request.
///
/// # Errors
/// [`BrainError::Unusable`] naming what is missing.
pub fn read_plan(reply: &Reply) -> Result<Plan, BrainError> {
    let input: PlanInput = read_object(Tool::PlanTask, reply)?;
    let PlanInput { objective, files, new_files, in_order } = input;
    Ok(Plan { objective, files, new_files, in_order: in_order.unwrap_or_default() })
}

/// Reads the answer to a `decide_conflict` request.
///
/// # Errors
/// [`BrainError::Unusable`] for anything but `proceed` and `yield`.
pub fn read_decision(reply: &Reply) -> Result<Decision, BrainError> {
    let input: DecisionInput = read_object(Tool::DecideConflict, reply)?;
    let choice = match input.decision.as_str() {
        "proceed" => Choice::Proceed,
        "yield" => Choice::Yield,
        other => {
            return Err(BrainError::Unusable(format!("decision `{other}` is neither `proceed` nor `yield`")));
        }
    };
    Ok(Decision { choice, reason: input.reason })
}

/// Reads the answer to a question about a file whose text is `content` now.
///
/// # Errors
/// [`BrainError::Unusable`] for anything but the tools or one fenced block; [`BrainError::Misfit`] for edits that do not
/// apply to the text.
pub fn read_written(reply: &Reply, content: &str) -> Result<Written, BrainError> {
    match reply {
        Reply::Tool { name, .. } if name == Tool::EditFile.name() => {
            let input: EditInput = read_object(Tool::EditFile, reply)?;
            let content = edits::apply(content, &input.edits)
                .map_err(|misfit| BrainError::Misfit(misfit.to_string()))?;
            Ok(Written { content, summary: input.summary })
        }
        Reply::Tool { .. } => {
            let input: WriteInput = read_object(Tool::WriteFile, reply)?;
            Ok(Written { content: input.content, summary: input.summary })
        }
        Reply::Text(text) => match fenced(text) {
            Some(content) => Ok(Written { content: content.to_owned(), summary: None }),
            None => Err(BrainError::Unusable(
                "neither write_file nor one fenced block with nothing around it".to_owned(),
            )),
        },
    }
}

fn read_object<T: for<'de> Deserialize<'de>>(tool: Tool, reply: &Reply) -> Result<T, BrainError> {
    let text = match reply {
        Reply::Tool { name, input } if name == tool.name() => input.as_str(),
        Reply::Tool { name, .. } => {
            return Err(BrainError::Unusable(format!(
                "it used the tool `{name}` instead of `{}`",
                tool.name()
            )));
        }
        Reply::Text(text) => braces(text)
            .ok_or_else(|| BrainError::Unusable(format!("neither `{}` nor a JSON object", tool.name())))?,
    };
    serde_json::from_str(text).map_err(|error| BrainError::Unusable(format!("{}: {error}", tool.name())))
}

/// From the first `{` to the last `}`.
fn braces(text: &str) -> Option<&str> {
    let (start, end) = (text.find('{')?, text.rfind('}')?);
    text.get(start..=end)
}

/// The text inside one fence that encloses the whole answer, white space aside.
///
/// As in Markdown, the first line of at least as many backticks ends the block, so a file with fences of its own needs
/// a longer one around it; a block that ends earlier leaves something outside and is none.
fn fenced(text: &str) -> Option<&str> {
    let text = text.trim();
    let ticks = text.len() - text.trim_start_matches('`').len();
    let (language, block) = text.split_once('\n')?;
    if ticks < 3 || language[ticks..].contains('`') {
        return None;
    }
    let mut at = 0;
    for line in block.split_inclusive('\n') {
        let mark = line.trim();
        if mark.len() >= ticks && mark.bytes().all(|byte| byte == b'`') {
            return (at + line.len() == block.len()).then(|| &block[..at]);
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(tool: Tool, input: &str) -> Reply {
        Reply::Tool { name: tool.name().to_owned(), input: input.to_owned() }
    }

    #[test]
    fn a_plan_without_new_files_creates_none() {
        let plan = read_plan(&tool(Tool::PlanTask, r#"{"objective":"fix it","files":["a.py"]}"#)).unwrap();
        assert_eq!(
            plan,
            Plan { objective: "fix it".to_owned(), files: vec!["a.py".to_owned()], ..Plan::default() }
        );
    }

    #[test]
    fn a_plan_written_as_text_is_read_from_its_braces() {
        let reply =
            Reply::Text("Sure:\n{\"intent_id\":\"i\",\"objective\":\"o\",\"files\":[\"a\"]}\n".to_owned());
        assert_eq!(read_plan(&reply).unwrap().files, ["a"]);
    }

    #[test]
    fn a_missing_key_is_named() {
        let error = read_plan(&tool(Tool::PlanTask, r#"{"files":[]}"#)).unwrap_err();
        assert!(error.to_string().contains("objective"), "{error}");
    }

    #[test]
    fn the_wrong_tool_is_refused_by_name() {
        let error = read_plan(&tool(Tool::WriteFile, r#"{"content":""}"#)).unwrap_err();
        assert!(error.to_string().contains("`write_file` instead of `plan_task`"), "{error}");
    }

    #[test]
    fn a_decision_is_proceed_or_yield_and_nothing_else() {
        let read = |word: &str| {
            read_decision(&tool(
                Tool::DecideConflict,
                &format!(r#"{{"decision":"{word}","reason":"because"}}"#),
            ))
        };
        assert_eq!(read("yield").unwrap().choice, Choice::Yield);
        assert_eq!(read("proceed").unwrap().choice, Choice::Proceed);
        assert!(read("maybe").is_err());
    }

    fn written(text: &str) -> Result<String, BrainError> {
        read_written(&Reply::Text(text.to_owned()), "old").map(|written| written.content)
    }

    #[test]
    fn one_fenced_block_instead_of_write_file_is_the_file() {
        assert_eq!(written("```python\nx = 1\n```").unwrap(), "x = 1\n");
        assert_eq!(written("\n```\nx = 1\n\n```  \n").unwrap(), "x = 1\n\n");
        assert_eq!(written("````md\n# Title\n```sh\nls\n```\n````").unwrap(), "# Title\n```sh\nls\n```\n");
        assert_eq!(written("```\na ``` b\n```").unwrap(), "a ``` b\n");
    }

    #[test]
    fn prose_is_never_a_file() {
        for text in [
            "I'm sorry, I can't see the file.",
            "Here is the file:\n```python\nx = 1\n```\nHope that helps!",
            "Here is the file:\n```python\nx = 1\n```",
            "```python\nx = 1\n```\nHope that helps!",
            "```\nx = 1\n```\nand\n```\ny = 2\n```",
            "```md\n# Title\n```sh\nls\n```\n```",
            "```python\nx = 1",
            "```x = 1```",
            "x = 1\n",
            "  \n",
            "```",
        ] {
            assert!(written(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_content_is_an_empty_file() {
        assert_eq!(read_written(&tool(Tool::WriteFile, r#"{"content":""}"#), "old").unwrap().content, "");
    }

    #[test]
    fn input_that_is_not_json_is_unusable() {
        assert!(read_written(&tool(Tool::WriteFile, r#"{"content":"x"#), "old").is_err());
    }

    #[test]
    fn edits_become_the_whole_text_or_say_why_not() {
        let edit = |input: &str| read_written(&tool(Tool::EditFile, input), "one\ntwo\n");
        let written = edit(r#"{"edits":[{"search":"two","replace":"2"}],"summary":"s"}"#).unwrap();
        assert_eq!(written, Written { content: "one\n2\n".to_owned(), summary: Some("s".to_owned()) });
        assert_eq!(edit(r#"{"edits":[]}"#).unwrap().content, "one\ntwo\n");
        let misfit = edit(r#"{"edits":[{"search":"three","replace":"3"}]}"#).unwrap_err();
        assert!(matches!(&misfit, BrainError::Misfit(why) if why.contains("edit 1")), "{misfit}");
        for broken in [r#"{"edits":[{"search":"two"}]}"#, r#"{"edits":"two"}"#, "{}"] {
            assert!(matches!(edit(broken), Err(BrainError::Unusable(_))), "{broken}");
        }
    }
}
