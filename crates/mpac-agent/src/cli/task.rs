//! Options of the verb `task`.

use clap::Args;

use super::Thinking;
use super::connection::Joining;
use crate::console::Layout;

/// Options of `task`.
#[derive(Debug, Args)]
pub struct Task {
    /// What to do, in words
    #[arg(value_name = "TEXT", value_parser = words)]
    pub task: String,
    /// How changes are shown; auto takes side-by-side from 120 columns on
    #[arg(long, value_enum, default_value = "auto", value_name = "HOW")]
    pub diff: Layout,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a documented group of options would get this as its heading")]
    pub thinking: Thinking,
    #[command(flatten)]
    #[expect(missing_docs, reason = "as above")]
    pub joining: Joining,
}

fn words(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say what to do".to_owned()),
        text => Ok(text.to_owned()),
    }
}
