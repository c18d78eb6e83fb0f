//! The tools that give a model's answers their structure, and the readers of what it fills in.
//!
//! | Tool | Input |
//! |---|---|
//! | `plan_task` | `{"objective": string, "files": [string], "new_files"?: [string], "in_order"?: bool}` |
//! | `decide_conflict` | `{"decision": "proceed" \| "yield", "reason": string}` |
//! | `write_file` | `{"content": string, "summary"?: string}` |
//! | `edit_file` | `{"edits": [{"search": string, "replace": string}], "summary"?: string}` |
//!
//! Every request offers one tool and asks for it by `tool_choice`; about a large file it offers the last two, and the model
//! must use one of them. A server that answers with
//! plain text instead is understood too: JSON with the same keys for the first two, for the third the file in one
//! fenced block with nothing around it. Bare text is never taken for a file: it may be an excuse.

mod read;

use serde_json::{Value, json};

pub use read::{read_decision, read_plan, read_written};

/// Which tool a request offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `plan_task`
    PlanTask,
    /// `decide_conflict`
    DecideConflict,
    /// `write_file`
    WriteFile,
    /// `edit_file`
    EditFile,
}

impl Tool {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PlanTask => "plan_task",
            Self::DecideConflict => "decide_conflict",
            Self::WriteFile => "write_file",
            Self::EditFile => "edit_file",
        }
    }

    /// The tool as the Messages API wants it: `name`, `description`, `input_schema`.
    #[must_use]
    pub fn definition(self) -> Value {
        let (description, schema) = match self {
            Self::PlanTask => ("Say what you are going to do and which files you will write.", plan_schema()),
            Self::DecideConflict => ("Say whether you go on or step back.", conflict_schema()),
            Self::WriteFile => ("Hand in the complete new text of the file.", write_schema()),
            Self::EditFile => {
                ("Hand in the changes to the file, each by the text that it replaces.", edit_schema())
            }
        };
        json!({"name": self.name(), "description": description, "input_schema": schema})
    }

    /// The field of its input that people may read while it is still being written.
    #[must_use]
    pub fn told_field(self) -> &'static str {
        match self {
            Self::PlanTask => "objective",
            Self::DecideConflict => "reason",
            // Edits are told one by one.
            Self::WriteFile | Self::EditFile => "content",
        }
    }
}

/// The tools of one request, and which of them the model has to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// This one.
    Only(Tool),
    /// `write_file` or `edit_file`, as the model sees fit.
    WriteOrEdit,
    /// Both are there, because the conversation shows the use of one, and the model has to use `write_file`.
    WriteAfterEdit,
}

impl Offer {
    /// The `tools` and the `tool_choice` of the request. The model has to use one tool, once.
    #[must_use]
    pub fn request(self) -> (Value, Value) {
        let both = || json!([Tool::WriteFile.definition(), Tool::EditFile.definition()]);
        let only =
            |tool: Tool| json!({"type": "tool", "name": tool.name(), "disable_parallel_tool_use": true});
        match self {
            Self::Only(tool) => (json!([tool.definition()]), only(tool)),
            Self::WriteOrEdit => (both(), json!({"type": "any", "disable_parallel_tool_use": true})),
            Self::WriteAfterEdit => (both(), only(Tool::WriteFile)),
        }
    }

    /// As [`Tool::told_field`].
    #[must_use]
    pub fn told_field(self) -> &'static str {
        match self {
            Self::Only(tool) => tool.told_field(),
            Self::WriteOrEdit | Self::WriteAfterEdit => Tool::WriteFile.told_field(),
        }
    }
}

fn plan_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "objective": {"type": "string", "description": "One sentence that tells the others what you will change and why."},
            "files": {"type": "array", "items": {"type": "string"}, "description": "Existing files you will change, exactly as listed."},
            "new_files": {"type": "array", "items": {"type": "string"}, "description": "Files you will create, as relative paths. Usually empty."},
            "in_order": {"type": "boolean", "description": "True when a file can only be written once the new text of one before it is known; then list what others need first. False or left out: the files are written at the same time."}
        },
        "required": ["objective", "files"]
    })
}

fn conflict_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "decision": {"type": "string", "enum": ["proceed", "yield"]},
            "reason": {"type": "string", "description": "One sentence for the people who follow along."}
        },
        "required": ["decision", "reason"]
    })
}

fn write_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "content": {"type": "string", "description": "The whole file after your change, not a part of it."},
            "summary": {"type": "string", "description": "What you changed, in at most ten words."}
        },
        "required": ["content"]
    })
}

fn edit_schema() -> Value {
    let edit = json!({
        "type": "object",
        "properties": {
            "search": {"type": "string", "description": "Text of the file, copied exactly, that is there only once."},
            "replace": {"type": "string", "description": "What takes its place."}
        },
        "required": ["search", "replace"]
    });
    json!({
        "type": "object",
        "properties": {
            "edits": {"type": "array", "items": edit, "description": "In the order in which they are applied."},
            "summary": {"type": "string", "description": "What you changed, in at most ten words."}
        },
        "required": ["edits"]
    })
}

/// A model's whole answer: the tool it used, or else the text it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Name of the tool and its input as JSON text.
    Tool {
        /// The tool's name.
        name: String,
        /// The input object, not parsed yet.
        input: String,
    },
    /// Text without a tool.
    Text(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_requires_what_its_reader_requires() {
        let required = |tool: Tool| tool.definition()["input_schema"]["required"].clone();
        assert_eq!(required(Tool::PlanTask), json!(["objective", "files"]));
        assert_eq!(required(Tool::DecideConflict), json!(["decision", "reason"]));
        assert_eq!(required(Tool::WriteFile), json!(["content"]));
        assert_eq!(required(Tool::EditFile), json!(["edits"]));
    }

    #[test]
    fn an_offer_makes_the_model_use_one_of_its_tools() {
        let named = |offer: Offer| {
            let (tools, choice) = offer.request();
            let names: Vec<String> = tools
                .as_array()
                .unwrap()
                .iter()
                .map(|tool| tool["name"].as_str().unwrap().to_owned())
                .collect();
            (names.join(" "), choice["type"].clone(), choice["name"].clone())
        };
        assert_eq!(
            named(Offer::Only(Tool::PlanTask)),
            ("plan_task".to_owned(), json!("tool"), json!("plan_task"))
        );
        let both = "write_file edit_file".to_owned();
        assert_eq!(named(Offer::WriteOrEdit), (both.clone(), json!("any"), Value::Null));
        assert_eq!(named(Offer::WriteAfterEdit), (both, json!("tool"), json!("write_file")));
    }
}
