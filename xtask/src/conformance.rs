//! `cargo xtask conformance`: tells whether a coordinator conforms, by stories that are data.
//!
//! | module | holds |
//! |---|---|
//! | `story`, `parse`, `scan`, `verbs` | what a story is, and how its text is read (`fixtures/conformance/FORMAT.md`) |
//! | `sound` | what would let a story pass for the wrong reason |
//! | `pattern` | names for values, and patterns over JSON |
//! | `cast`, `play` | who sends what; one story on one coordinator |
//! | `judge`, `relay` | what came against what was expected; what a relay may change |
//! | `wire`, `schema` | what holds of every frame; the published JSON Schema |
//! | `endpoint` | the coordinators: in this process, a program, a server |
//! | `troupe` | all stories on one coordinator, several at a time |
//! | `report`, `coverage` | what was found, in three formats; which rules the suite checks |
//! | `goldens` | the fourteen messages, byte for byte |

mod cast;
mod coverage;
mod endpoint;
mod goldens;
mod judge;
mod keys;
mod parse;
mod pattern;
mod play;
mod relay;
mod report;
#[cfg(test)]
mod saboteur;
mod scan;
mod schema;
mod sound;
mod story;
mod troupe;
mod verbs;
mod wire;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::step::{self, Failure};
use endpoint::{Launched, Manner, Runner, Shared, Target, Words};
use report::{Format, Report};
use schema::Schema;
use story::{Feature, Story, Strength};

/// Where the stories are.
const STORIES: &str = "fixtures/conformance";

/// What a run may be told. Without a coordinator: ours, in four ways (in process, drive, a server for each story, a
/// server for all).
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Play only stories whose name contains this text, such as `claims/`. May be repeated.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Play on our core, in this process.
    #[arg(long)]
    in_process: bool,
    /// Play on a program that speaks the lines of `mpac-ws drive` on its standard input and output. Like `--launch`, the
    /// command is split at blanks: there is no shell and no quoting.
    #[arg(long, value_name = "COMMAND")]
    drive: Option<Words>,
    /// Play on servers: this command starts one for each story. `{port}`, `{session}`, `{protocol}`, `{config}` (a JSON file)
    /// and `{workspace}` (a directory) are filled in; without `{port}` it must print a `ws://` URL. Exit code 64 says that
    /// it cannot be configured so.
    #[arg(long, value_name = "COMMAND")]
    launch: Option<Words>,
    /// Play on a server that runs: `ws://HOST:PORT/PATH`, with `{session}` where a session of the story's own belongs.
    /// Without it, the session there must be called `conformance`, and one story can be played.
    #[arg(long, value_name = "URL")]
    target: Option<String>,
    /// How the coordinator is called in the report.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Fail for failures of this level and above.
    #[arg(long, value_enum, default_value = "SHOULD")]
    level: Strength,
    /// Write a report; the ending says how: .md, .json or .html. May be repeated; for one coordinator.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// Skip stories that need this.
    #[arg(long, value_enum, value_name = "FEATURE")]
    without: Vec<Feature>,
    /// Seconds of real time that a story may take on a server; longer ones are skipped, save those that need sockets.
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0)]
    patience: f64,
    /// How many servers run at a time.
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// For servers without the sideband: a step is over when nothing has come for so many milliseconds, which every step then
    /// takes. Too few, and what must not come is not waited for.
    #[arg(long, value_name = "MS")]
    quiet_ms: Option<u64>,
    /// List the stories with level, title and rules, and play nothing.
    #[arg(long)]
    list: bool,
}

impl Options {
    /// Whether no coordinator is named, so that ours are played on.
    fn is_ours(&self) -> bool {
        !self.in_process && self.drive.is_none() && self.launch.is_none() && self.target.is_none()
    }

    /// Whether every story has to be played somewhere.
    fn is_all_of_ours(&self) -> bool {
        self.is_ours() && self.only.is_empty() && self.without.is_empty()
    }
}

/// `cargo xtask ci` runs this: ours, in every way, and that the example in `fixtures/conformance/README.md` is true.
///
/// # Errors
/// As for [`run`].
pub(crate) fn of_ci() -> Result<(), Failure> {
    told(&[])?;
    println!("\nThe worked example, of which one story passes and one fails:");
    let toy = step::root().join(STORIES).join("targets/toy.py").display().to_string();
    let toy = Words::new("python3", &[&toy]);
    let on_the_toy = |story| run(&Options { drive: Some(toy.clone()), ..options(&["--only", story]) });
    on_the_toy("hello/roles-as-asked")?;
    match on_the_toy("hello/who-is-here-is-counted") {
        Err(Failure::Check(told)) if told == failed(1, Strength::Should) => Ok(()),
        Err(other) => Err(other),
        Ok(()) => {
            Err(Failure::check("the example's second story passes on a coordinator that counts wrongly"))
        }
    }
}

/// Runs it with what a command line says.
fn told(words: &[&str]) -> Result<(), Failure> {
    run(&options(words))
}

fn options(words: &[&str]) -> Options {
    use clap::Parser;
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
    Line::parse_from([&["conformance"], words].concat()).options
}

/// Plays every story on every coordinator that was named.
///
/// # Errors
/// A story cannot be read, a report not be written, the suite does not cover a rule, or a check fails at the level.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    for path in &options.report {
        Format::of(path)?; // known before minutes have passed
    }
    let stories = stories(&options.only)?;
    if stories.is_empty() {
        return Err(Failure::check("no story has such a name"));
    }
    if options.list {
        for story in &stories {
            let rules = story.covers.join(" ");
            step::say(&format!("{:<56} {:<6} {} ({rules})", story.name, story.strength.name(), story.title));
        }
        return Ok(());
    }
    if options.only.is_empty() {
        covers(&stories)?;
    }
    let runners = runners(options, stories.len())?;
    if runners.len() > 1 && !options.report.is_empty() {
        return Err(Failure::check(
            "--report is for one coordinator: name it (--in-process, --drive, --launch, --target)",
        ));
    }
    let schema = Schema::load()?;
    let mut count = 0;
    let mut idle = Vec::new();
    let mut played = BTreeSet::new();
    for runner in &runners {
        reachable(runner.as_ref(), &stories, &schema)?;
        let mut found = troupe::play_all(runner.as_ref(), &stories, &schema);
        if options.only.is_empty() && runner.has_our_types() {
            found.rows.extend(goldens::rows()?);
        }
        let report = Report::new(runner.name(), found.rows, &found.wire);
        tell(&report);
        for path in &options.report {
            report.write(path)?;
        }
        count += report.failed_at(options.level);
        if report.played().next().is_none() {
            idle.push(report.target.clone());
        }
        played.extend(report.played().map(str::to_owned));
    }
    if !idle.is_empty() {
        return Err(Failure::check(format!(
            "every story was skipped, so nothing is known: {}",
            idle.join(", ")
        )));
    }
    if count > 0 {
        return Err(Failure::check(failed(count, options.level)));
    }
    if options.is_all_of_ours() {
        let problems = coverage::unplayed(&stories, &played);
        return if problems.is_empty() { Ok(()) } else { Err(Failure::check(problems.join("\n"))) };
    }
    Ok(())
}

/// What a run ends with in which so many checks failed.
fn failed(count: usize, level: Strength) -> String {
    let checks = if count == 1 { "check" } else { "checks" };
    format!("{count} {checks} of level {} or above failed", level.name())
}

/// A coordinator that is not there at all would fail every story in the same way: one that needs nothing comes first.
fn reachable(runner: &dyn Runner, stories: &[Story], schema: &Schema) -> Result<(), Failure> {
    let simple = |story: &&Story| story.opens && story.needs.is_empty() && story.seconds() == 0.0;
    let Some(first) = stories.iter().find(simple) else { return Ok(()) };
    // Under a name of its own, and so in a session of its own where there are many.
    let first = Story { name: format!("first/{}", first.name), ..first.clone() };
    match play::play(runner, &first, schema).outcome {
        play::Outcome::Failed(fault) if fault.is_opening() => {
            Err(Failure::check(format!("{}: no session can be opened: {}", runner.name(), fault.received)))
        }
        _ => Ok(()),
    }
}

/// What a run found, for a person at a terminal. The last line is what counts, in words that machines read too.
fn tell(report: &Report) {
    for (row, fault) in report.failures() {
        let place = if fault.line == 0 { row.name.clone() } else { format!("{}:{}", row.name, fault.line) };
        step::say(&format!("\n{place}: {} ({}, {})", row.title, fault.rule, row.strength.name()));
        step::say(&format!("    {}\n    {}: expected {}", fault.step, fault.who, fault.expected));
        step::say(&format!("    received {}", fault.received));
    }
    step::say(&format!("\n{}\n{:<14}{:>8}{:>8}{:>9}", report.target, "area", "passed", "failed", "skipped"));
    for area in report.areas() {
        let counts = report.count(Some(area), None);
        let note = if area == "wire" { "   (on every frame)" } else { "" };
        step::say(&format!("{area:<14}{:>8}{:>8}{:>9}{note}", counts.passed, counts.failed, counts.skipped));
    }
    for (reason, count) in report.skipped() {
        step::say(&format!("{count:>4} skipped: {reason}"));
    }
    if report.unseen() > 0 {
        let told = "passed, but what they say of the session itself could not be seen";
        step::say(&format!("{:>4} {told}", report.unseen()));
    }
    let all = report.count(None, None);
    step::say(&format!("{} passed, {} failed, {} skipped", all.passed, all.failed, all.skipped));
}

fn covers(stories: &[Story]) -> Result<(), Failure> {
    let coverage = coverage::of(stories)?;
    println!(
        "{} stories; of {} MUSTs that bind a coordinator {} are in one, {} cannot be seen from outside",
        stories.len(),
        coverage.musts,
        coverage.covered,
        coverage.hidden
    );
    if coverage.problems.is_empty() { Ok(()) } else { Err(Failure::check(coverage.problems.join("\n"))) }
}

fn runners(options: &Options, stories: usize) -> Result<Vec<Box<dyn Runner>>, Failure> {
    let manner = |name: &str, without: BTreeSet<Feature>| Manner {
        name: options.name.clone().unwrap_or_else(|| name.to_owned()),
        without,
        patience: options.patience,
        jobs: options.jobs,
        quiet_ms: options.quiet_ms,
    };
    let without: BTreeSet<Feature> = options.without.iter().copied().collect();
    let mut runners: Vec<Box<dyn Runner>> = Vec::new();
    if options.in_process {
        runners.push(Box::new(endpoint::in_process()));
    }
    if let Some(command) = &options.drive {
        runners.push(Box::new(endpoint::started(
            command.clone(),
            manner(&format!("drive: {command}"), without.clone()),
        )));
    }
    if let Some(command) = &options.launch {
        let manner = manner(&command.to_string(), without.clone());
        runners.push(Box::new(Launched { command: command.clone(), manner }));
    }
    if let Some(url) = &options.target {
        if !url.starts_with("ws://") {
            let told = "--target takes ws://HOST:PORT/PATH; wss:// is not spoken";
            return Err(Failure::check(format!("{told}: {url}")));
        }
        if !url.contains("{session}") && stories > 1 {
            let told = "stories would meet in one session: put {session} into the URL, or name one story with --only";
            return Err(Failure::check(told));
        }
        let salt = format!("{:x}", cast::wall_clock().micros());
        runners.push(Box::new(Target { url: url.clone(), manner: manner(url, without.clone()), salt }));
    }
    if options.is_ours() {
        step::run(&mut step::cargo(&["build", "--quiet", "--locked", "-p", "mpac-ws"]))?;
        let server = step::target().join("debug/mpac-ws").display().to_string();
        runners.push(Box::new(endpoint::in_process()));
        let drive = Words::new(&server, &["drive"]);
        runners.push(Box::new(endpoint::started(drive, manner("mpac-ws drive", without.clone()))));
        // Who may come in, and how, a server is told by flags and not by the file that a story brings.
        let unverified = [Feature::Credentials, Feature::Signatures];
        let without: BTreeSet<Feature> = without.into_iter().chain(unverified).collect();
        let of_story =
            ["--session", "{session}", "--workspace", "{workspace}", "--session-config", "{config}"];
        let command = Words::new(&server, &[&["--port", "0"], &of_story[..]].concat());
        let launched = manner("mpac-ws, one for each story", without.clone());
        runners.push(Box::new(Launched { command, manner: launched }));
        let shared = ["--port", "0", "--multi-session", "--max-sessions", "10000", "--log", "off"];
        runners.push(Box::new(Shared::start(
            &Words::new(&server, &shared),
            manner("one mpac-ws, a session for each story", without),
        )?));
    }
    Ok(runners)
}

/// Every story, by name.
fn stories(only: &[String]) -> Result<Vec<Story>, Failure> {
    let folder = step::root().join(STORIES);
    let mut stories = Vec::new();
    let mut wrong = Vec::new();
    for path in step::files_below(&folder)? {
        let name = path.with_extension("").display().to_string();
        let is_story = path.extension().is_some_and(|kind| kind == "txt") && name.contains('/');
        if is_story && (only.is_empty() || only.iter().any(|only| name.contains(only))) {
            match parse::story(&name, &step::text(&folder.join(&path))?) {
                Ok(story) => stories.push(story),
                Err(problem) => wrong.push(problem),
            }
        }
    }
    if wrong.is_empty() { Ok(stories) } else { Err(Failure::check(wrong.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_of_a_coordinator_is_a_failure() {
        let failure = |words: &[&str]| told(words).unwrap_err().to_string();
        assert_eq!(failure(&["--only", "no/such-story"]), "no story has such a name");
        let nowhere = ["--in-process", "--report", "no-such-folder/r.md"];
        assert_eq!(failure(&nowhere), "no-such-folder/r.md: there is no such folder");
        assert!(failure(&["--target", "wss://h/{session}"]).contains("takes ws://"));
        let sockets_only = ["--in-process", "--only", "server/binary"];
        assert!(failure(&sockets_only).contains("every story was skipped"));
        assert!(told(&["--in-process", "--only", "hello/roles-as-asked"]).is_ok());
    }
}
