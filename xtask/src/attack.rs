//! `cargo xtask attack`: what strangers, members and their tools may try against a server, and what has to come of it.
//!
//! Every attack gets a server of its own, as a process, and meets it over sockets that are written by hand. Each says what
//! the answer has to be, to the error or close code. Afterwards a bystander who was in the session all the time has to be in
//! it still, able to work, and must have heard nothing of it; nothing may be written outside of the server's data and
//! workspace; no secret may stand in what the server says; and its log has to live through it all again (`audit verify`).
//!
//! | module | attacks |
//! |---|---|
//! | `names` | speaking for others, for the coordinator, under names that look alike |
//! | `replay` | saying again what was said before, across a crash too |
//! | `downgrade` | weaker profiles, TLS, sessions, versions |
//! | `agents` | a server that is not the one the agent was sent to |
//! | `tokens` | JSON Web Tokens and keys |
//! | `verified` | signatures, certificates, and the keys behind them |
//! | `paths` | ways out of the workspace |
//! | `slow` | connections that take their time |
//! | `frames` | the WebSocket protocol, broken |
//! | `floods` | too much of everything |
//! | `bombs` | messages that cost more than they look |
//! | `hello` | races at the door |

mod agents;
mod bombs;
mod downgrade;
mod floods;
mod frames;
mod hello;
mod jwt;
mod member;
mod names;
mod paths;
mod people;
mod replay;
mod scene;
mod server;
mod slow;
mod tokens;
mod verified;
mod wire;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::scene::{Scene, Stage};
use crate::step::{self, Failure};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Only attacks whose family or name contains this text.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Say which attacks there are, and make none.
    #[arg(long)]
    list: bool,
    /// How many are made at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
}

impl Options {
    /// All of them.
    pub(crate) const fn of_ci() -> Self {
        Self { only: None, list: false, jobs: 4 }
    }
}

type Done = Result<(), Failure>;

/// Something that somebody may try.
struct Attack {
    name: &'static str,
    /// The requirements and decisions that say what has to come of it.
    ids: &'static [&'static str],
    /// The answer, in words for the table; the code asserts it.
    answer: &'static str,
    stage: Stage,
    run: fn(&mut Scene) -> Done,
}

/// Of one kind.
type Family = (&'static str, &'static [Attack]);

const FAMILIES: &[Family] = &[
    ("names", names::ATTACKS),
    ("replay", replay::ATTACKS),
    ("downgrade", downgrade::ATTACKS),
    ("agents", agents::ATTACKS),
    ("tokens", tokens::ATTACKS),
    ("verified", verified::ATTACKS),
    ("paths", paths::ATTACKS),
    ("slow", slow::ATTACKS),
    ("frames", frames::ATTACKS),
    ("floods", floods::ATTACKS),
    ("bombs", bombs::ATTACKS),
    ("hello", hello::ATTACKS),
];

/// Makes them, and prints a table.
///
/// # Errors
/// Every attack of which something else came than has to; the programs cannot be built.
pub(crate) fn run(options: &Options) -> Done {
    let chosen: Vec<(&str, &Attack)> = FAMILIES
        .iter()
        .flat_map(|(family, attacks)| attacks.iter().map(move |attack| (*family, attack)))
        .filter(|(family, attack)| options.is_chosen(family, attack.name))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::check("no attack is called that; --list says which there are"));
    }
    if options.list {
        chosen.iter().for_each(|(family, attack)| step::say(&row(family, attack, "")));
        return Ok(());
    }
    step::run(&mut step::cargo(&["build", "--locked", "-p", "mpac-ws", "-p", "mpac-agent"]))?;
    let began = Instant::now();
    let outcomes = make(&chosen, options.jobs.into());
    let mut failures = Vec::new();
    step::say("\nfamily     attack                                 took    answer (requirements)");
    for ((family, attack), (took, outcome)) in chosen.iter().zip(&outcomes) {
        let mark =
            if outcome.is_ok() { format!("{:5.1} s", took.as_secs_f64()) } else { " FAILED".to_owned() };
        step::say(&row(family, attack, &mark));
        if let Err(failure) = outcome {
            failures.push(format!("{family}/{}: {failure}", attack.name));
        }
    }
    let all = began.elapsed().as_secs_f64();
    step::say(&format!(
        "attack: {} of {} answered as they have to be, in {all:.1} s",
        chosen.len() - failures.len(),
        chosen.len()
    ));
    if failures.is_empty() { Ok(()) } else { Err(Failure::check(failures.join("\n"))) }
}

impl Options {
    fn is_chosen(&self, family: &str, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| format!("{family}/{name}").contains(only))
    }
}

fn row(family: &str, attack: &Attack, mark: &str) -> String {
    format!("{family:<10} {:<38} {mark:<7} {} ({})", attack.name, attack.answer, attack.ids.join(", "))
}

/// All of them, some at a time; how long each took and what came of it, in their order.
fn make(chosen: &[(&str, &Attack)], jobs: usize) -> Vec<(Duration, Done)> {
    let (next, made) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::SeqCst);
                    let Some((family, attack)) = chosen.get(place) else { return };
                    let began = Instant::now();
                    let outcome = one(attack);
                    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
                    step::say(&format!("    {family}/{}: {word}", attack.name));
                    let mut made = made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    made.push((place, began.elapsed(), outcome));
                }
            });
        }
    });
    let mut made = made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    made.sort_by_key(|(place, ..)| *place);
    made.into_iter().map(|(_, took, outcome)| (took, outcome)).collect()
}

fn one(attack: &Attack) -> Done {
    let mut scene = Scene::set(&attack.stage)?;
    (attack.run)(&mut scene)?;
    scene.leave()
}

/// That something is as it has to be.
fn ensure<A, B>(what: &str, is: &A, should: &B) -> Done
where
    A: PartialEq<B> + std::fmt::Debug + ?Sized,
    B: std::fmt::Debug + ?Sized,
{
    if is == should {
        Ok(())
    } else {
        Err(Failure::check(format!("{what}: {is:?}, and it has to be {should:?}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own_and_says_which_rule_answers_it() {
        let all: Vec<&Attack> = FAMILIES.iter().flat_map(|(_, attacks)| *attacks).collect();
        let names: BTreeSet<&str> = all.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|attack| !attack.ids.is_empty() && !attack.answer.is_empty()));
    }

    #[test]
    fn the_threat_model_names_what_is_there() {
        let text = step::text(&step::root().join("SPEC-notes.md")).unwrap();
        let (_, section) = text.split_once("\n## Threat model\n").unwrap();
        let (_, table) = section.split_once("\n|---|").unwrap();
        let mut names = Vec::new();
        for row in table.lines().skip(1).take_while(|line| line.starts_with('|')) {
            let column = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
            let of_code = column.split('`').skip(1).step_by(2);
            names.extend(of_code.filter(|name| !name.starts_with("cargo xtask ")));
        }
        let is_there = |name: &&str| {
            let mut attacks = FAMILIES.iter().flat_map(|(_, attacks)| *attacks);
            let story = step::root().join("fixtures/conformance").join(name);
            attacks.any(|attack| attack.name == *name)
                || FAMILIES.iter().any(|(family, _)| family == name)
                || name.contains('/') && (story.is_dir() || story.with_extension("txt").is_file())
        };
        assert!(names.len() > 15, "{names:?}");
        assert_eq!(names.into_iter().filter(|name| !is_there(name)).collect::<Vec<_>>(), [""; 0]);
    }
}
