//! Who thinks, and how a task is worked on: of the program itself, and of the verb `task`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::brain::claude::{Claude, ClaudeConfig, DEFAULT_MODEL};
use crate::brain::command::{CommandBrain, CommandConfig};
use crate::brain::prices::Prices;
use crate::brain::scripted::ScriptedBrain;
use crate::brain::usage::Cost;
use crate::brain::{Brain, BrainError, Budget};
use crate::error::AgentError;
use crate::history::History;
use crate::prompt::Persona;
use crate::task::TaskOptions;

const DEFAULT_PARALLEL: u8 = 4;

/// What a task may use up, and who works on it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Thinking")]
pub struct Thinking {
    /// The Claude model that plans and writes
    #[arg(long, default_value = DEFAULT_MODEL)]
    pub model: String,
    /// Answers from this file instead of Claude; no key for it is needed
    #[arg(long, value_name = "FILE.json")]
    pub script: Option<PathBuf>,
    /// Answers from a program of your own instead of Claude: "PROGRAM ARGUMENTS", which speaks JSON lines
    #[arg(long, value_name = "COMMAND", conflicts_with = "script")]
    pub brain_command: Option<String>,
    /// Who the agent is and what it cares for, told to Claude
    #[arg(long, value_name = "TEXT")]
    pub about: Option<String>,
    /// Show the plan and the diffs; announce nothing and commit nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Ask nothing more once all tasks together have cost so much, by estimate; the last call may go beyond
    #[arg(long, value_name = "DOLLARS", value_parser = parse_dollars, conflicts_with = "script")]
    pub budget_usd: Option<Cost>,
    /// Ask nothing more once all tasks together have used so many tokens, in and out
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "script")]
    pub budget_tokens: Option<u64>,
    /// Prices to estimate costs by, in the form of crates/mpac-agent/src/brain/prices.json; those are not checked against a price list
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["script", "brain_command"])]
    pub prices: Option<PathBuf>,
    /// How often to redo a file that somebody else changed meanwhile
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub max_rebase: u32,
    /// Commit each file of a task by itself; else all or none, where the server can (Python servers cannot)
    #[arg(long)]
    pub commit_each: bool,
    /// Longest time for one answer
    #[arg(long, value_name = "SECONDS", default_value_t = 1_800, value_parser = clap::value_parser!(u32).range(1..))]
    pub call_limit_sec: u32,
    /// Have at most so many files written at the same time, where the plan allows it, and so many conflicts decided on (a
    /// program of your own does one after the other)
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PARALLEL, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub parallel_writes: u8,
    /// Longest time for one task, with all its waiting; 0 for as long as it takes
    #[arg(long, value_name = "SECONDS", default_value_t = 7_200)]
    pub task_limit_sec: u32,
}

impl Thinking {
    /// Who thinks, for the agent of this name.
    ///
    /// # Errors
    /// [`AgentError::Usage`] and those of the brains, before anybody is connected to.
    pub(crate) fn brain(&self, name: &str, history: History) -> Result<Box<dyn Brain>, AgentError> {
        let usage = |error: BrainError| AgentError::Usage(error.to_string());
        if let Some(path) = &self.script {
            return Ok(Box::new(ScriptedBrain::load(path, history).map_err(usage)?));
        }
        let persona = Persona { name: name.to_owned(), about: self.about.clone() };
        let answer_limit = Duration::from_secs(self.call_limit_sec.into());
        let budget = Budget { cost: self.budget_usd, tokens: self.budget_tokens };
        if let Some(command) = &self.brain_command {
            let mut config = CommandConfig::new(command);
            (config.answer_limit, config.budget) = (answer_limit, budget);
            return Ok(Box::new(CommandBrain::new(config, persona).map_err(usage)?));
        }
        let mut config = ClaudeConfig::from_env(&self.model)?;
        (config.answer_limit, config.budget) = (answer_limit, budget);
        if let Some(path) = &self.prices {
            config.prices = Prices::read(path)
                .map_err(|why| AgentError::Usage(format!("--prices {}: {why}", path.display())))?;
        }
        Ok(Box::new(Claude::new(config, persona)?))
    }

    /// How tasks are run.
    pub(crate) fn task_options(&self) -> TaskOptions {
        let limit = self.task_limit_sec;
        TaskOptions {
            max_rebase: self.max_rebase,
            parallel_writes: self.parallel_writes.into(),
            commit_each: self.commit_each,
            time_limit: (limit > 0).then(|| Duration::from_secs(limit.into())),
            dry_run: self.dry_run,
            ..TaskOptions::default()
        }
    }
}

fn parse_dollars(text: &str) -> Result<Cost, String> {
    let amount = text.trim_start_matches('$').parse().ok().and_then(Cost::dollars);
    amount
        .filter(|amount| *amount > Cost::default())
        .ok_or_else(|| "give an amount of dollars, such as 0.50".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Program;
    use super::*;
    use clap::Parser as _;

    fn cli(more: &[&str]) -> Result<Program, clap::Error> {
        Program::try_parse_from(["mpac-agent", "ws://h:1", "--name", "Bob"].iter().chain(more))
    }

    #[test]
    fn a_budget_is_an_amount_and_not_nothing() {
        assert_eq!(parse_dollars("$0.50"), Ok(Cost::nano_dollars(500_000_000)));
        for odd in ["", "0", "-1", "much", "inf"] {
            assert!(parse_dollars(odd).is_err(), "{odd}");
        }
        assert!(cli(&["--budget-tokens", "0"]).is_err());
    }

    #[test]
    fn a_script_has_no_budget_and_no_other_brain() {
        assert!(cli(&["--script", "s.json", "--brain-command", "p"]).is_err());
        assert!(cli(&["--script", "s.json", "--budget-usd", "1"]).is_err());
    }

    #[test]
    fn limits_are_told_to_the_task() {
        let options = |more: &[&str]| {
            let asked = cli(more).unwrap();
            asked.thinking.task_options()
        };
        let unlimited = options(&["--task-limit-sec", "0", "--dry-run"]);
        assert!(unlimited.dry_run && unlimited.time_limit.is_none());
        assert_eq!(options(&[]).time_limit, Some(Duration::from_secs(7_200)));
        assert_eq!(options(&[]).parallel_writes, TaskOptions::default().parallel_writes);
        assert_eq!(options(&["--parallel-writes", "1"]).parallel_writes, 1);
        assert!(cli(&["--parallel-writes", "0"]).is_err());
        assert!(!options(&[]).commit_each && options(&["--commit-each"]).commit_each);
        assert!(cli(&["--call-limit-sec", "0"]).is_err());
    }

    #[test]
    fn a_command_that_cannot_be_split_is_a_usage_mistake() {
        for command in ["", "  ", "sh 'x"] {
            let history = crate::history::channel().1;
            let asked = cli(&["--brain-command", command]).unwrap();
            let error = asked.thinking.brain("Bob", history).err().unwrap();
            assert_eq!(error.exit_code(), 2, "{command}");
        }
    }
}
