//! `cargo xtask conformance`: tells whether a coordinator conforms, by stories that are data.
//!
//! | module | holds |
//! |---|---|
//! | `story`, `parse`, `scan`, `verbs` | what a story is, and how its text is read (`fixtures/conformance/FORMAT.md`) |
//! | `pattern` | names for values, and patterns over JSON |
//! | `cast`, `play` | who sends what; one story on one coordinator |
//! | `judge`, `relay`, `wire` | what came against what was expected; what a relay may change; single frames |
//! | `endpoint` | the coordinators: in this process, a program, a server |
//! | `goldens` | the fourteen messages, byte for byte |

mod cast;
mod endpoint;
mod goldens;
mod judge;
mod parse;
mod pattern;
mod play;
mod relay;
mod scan;
mod story;
mod verbs;
mod wire;

use crate::step::{self, Failure};
use endpoint::Runner;
use play::Outcome;
use story::Story;

/// Where the stories are.
const STORIES: &str = "fixtures/conformance";

/// What a run may be told.
#[derive(Default, clap::Args)]
pub(crate) struct Options {
    /// Play only stories whose name contains this text, such as `claims/`.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Play on a program that speaks the lines of `mpac-ws drive` on its standard input and output.
    #[arg(long, value_name = "COMMAND")]
    drive: Option<String>,
}

/// Plays every story.
///
/// # Errors
/// A story cannot be read, or fails.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let stories = stories(options.only.as_deref())?;
    let runner: Box<dyn Runner> = match &options.drive {
        Some(command) => Box::new(endpoint::started(command)),
        None => {
            if options.only.is_none() {
                goldens::run()?;
            }
            Box::new(endpoint::in_process())
        }
    };
    let mut failed = 0;
    for story in &stories {
        match play::play(runner.as_ref(), story, "").outcome {
            Outcome::Passed => {}
            Outcome::Skipped(reason) => println!("{}: skipped, {reason}", story.name),
            Outcome::Failed(fault) => {
                failed += 1;
                println!(
                    "{}:{}: {} ({})\n    {}\n    {}: expected {}\n    received {}",
                    story.name,
                    fault.line,
                    story.title,
                    fault.rule,
                    fault.step,
                    fault.who,
                    fault.expected,
                    fault.received
                );
            }
        }
    }
    println!("{}: {} stories, {failed} failed", runner.name(), stories.len());
    if failed == 0 { Ok(()) } else { Err(Failure::check(format!("{failed} stories failed"))) }
}

/// Every story, by name.
fn stories(only: Option<&str>) -> Result<Vec<Story>, Failure> {
    let folder = step::root().join(STORIES);
    let mut stories = Vec::new();
    let mut wrong = Vec::new();
    for path in step::files_below(&folder)? {
        let name = path.with_extension("").display().to_string();
        if path.extension().is_none_or(|kind| kind != "txt") || !name.contains('/') {
            continue;
        }
        if only.is_none_or(|only| name.contains(only)) {
            match parse::story(&name, &step::text(&folder.join(&path))?) {
                Ok(story) => stories.push(story),
                Err(problem) => wrong.push(problem),
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Failure::check(wrong.join("\n")));
    }
    Ok(stories)
}
