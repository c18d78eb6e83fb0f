//! Which rules the suite checks: every MUST that binds a coordinator is in a story, or is listed with the reason why nothing
//! outside can see it.

use std::collections::{BTreeMap, BTreeSet};

use super::story::Story;
use super::wire;
use crate::requirements::list::{self, Level, Requirement};
use crate::step::{self, Failure};

/// MUSTs that cannot be seen from outside: ID, two spaces, reason.
const HIDDEN: &str = "fixtures/conformance/not-observable.txt";

/// Areas whose rules are not a coordinator's: participants' duties, and decisions, which other rules cite.
const LEFT_OUT: [&str; 2] = ["PAR", "D"];

/// Stories that no coordinator of ours plays, each with the reason.
const UNPLAYED: [(&str, &str); 1] = [(
    "roles/credential-narrows-the-policy",
    "a server of ours is told its keys by flags, and for drive the credential is the authority on roles: the test \
     `roles_come_from_the_policy_and_the_credential_together` of mpac-core tries both together",
)];

/// What of the rules is checked.
pub(super) struct Coverage {
    /// Coordinator's MUSTs of the areas.
    pub(super) musts: usize,
    pub(super) covered: usize,
    pub(super) hidden: usize,
    /// What is wrong, in words.
    pub(super) problems: Vec<String>,
}

/// # Errors
/// A list cannot be read.
pub(super) fn of(stories: &[Story]) -> Result<Coverage, Failure> {
    let root = step::root();
    let known = list::parse(&step::text(&root.join(list::PATH))?)?;
    Ok(judge(&known, stories, &step::text(&root.join(HIDDEN))?))
}

fn judge(known: &[Requirement], stories: &[Story], hidden: &str) -> Coverage {
    let ids: BTreeSet<&str> = known.iter().map(|rule| rule.id.as_str()).collect();
    let mut covered: BTreeSet<&str> = wire::covered();
    let mut problems = Vec::new();
    for story in stories {
        covered.extend(story.covers.iter().map(String::as_str));
        let named = story.steps.iter().flat_map(|step| &step.expects).filter_map(|it| it.rule.as_ref());
        let unknown = story.covers.iter().chain(named).filter(|id| !ids.contains(id.as_str()));
        problems.extend(unknown.map(|id| format!("{}: {id} does not exist", story.name)));
    }
    let hidden: BTreeMap<&str, &str> = hidden
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("  "))
        .collect();
    for (id, reason) in &hidden {
        if !ids.contains(id) || reason.trim().is_empty() {
            problems.push(format!("{HIDDEN}: {id} does not exist or has no reason"));
        }
        if covered.contains(id) {
            problems.push(format!("{HIDDEN}: {id} is in a story after all"));
        }
    }
    let is_asked = |rule: &&Requirement| {
        rule.level == Some(Level::Must) && rule.who != "P" && !LEFT_OUT.contains(&rule.area())
    };
    let asked: Vec<&Requirement> = known.iter().filter(is_asked).collect();
    let is = |set: &dyn Fn(&str) -> bool| asked.iter().filter(|rule| set(&rule.id)).count();
    for rule in &asked {
        if !covered.contains(rule.id.as_str()) && !hidden.contains_key(rule.id.as_str()) {
            problems.push(format!("{} is in no story: {}", rule.id, rule.text));
        }
    }
    Coverage {
        musts: asked.len(),
        covered: is(&|id| covered.contains(id)),
        hidden: is(&|id| hidden.contains_key(id)),
        problems,
    }
}

/// What is wrong with what was played, by whomever, in words: a story that nobody plays says nothing of its rules.
pub(super) fn unplayed(stories: &[Story], played: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for Story { name, .. } in stories {
        let is_excused = UNPLAYED.iter().any(|(excused, _)| excused == name);
        if !is_excused && !played.contains(name) {
            problems.push(format!("{name} was skipped by every coordinator, so nothing shows its rules"));
        }
    }
    for (name, _) in UNPLAYED {
        if played.contains(name) || !stories.iter().any(|story| story.name == name) {
            problems
                .push(format!("{name} is excused from being played, but it was played or does not exist"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::parse;

    fn judged(covers: &str, hidden: &str) -> Vec<String> {
        judged_with(covers, hidden, "+1 wait\n")
    }

    fn judged_with(covers: &str, hidden: &str, steps: &str) -> Vec<String> {
        let known = "[INT] x\nINT-01  SHOULD  P  0.1.13  x\nINT-03  MUST    C  0.1.13  kept\nINT-04  MUST    C  0.1.13  ids\n";
        let story = format!("title: t\ncovers: {covers}\n\n{steps}");
        judge(&list::parse(known).unwrap(), &[parse::story("a/b", &story).unwrap()], hidden).problems
    }

    #[test]
    fn a_must_is_in_a_story_or_listed_with_a_reason() {
        assert_eq!(judged("INT-03", "INT-04  nobody sees it\n"), [""; 0]);
        assert_eq!(judged("INT-03", ""), ["INT-04 is in no story: ids"]);
        assert!(judged("INT-03 INT-04", "INT-04  nobody sees it\n")[0].contains("after all"));
        assert!(judged("INT-03 INT-99x INT-04", "")[0].contains("INT-99x does not exist"));
        let steps = "alice beats\n    alice gets nothing [INT-98x]\n";
        assert!(judged_with("INT-03 INT-04", "", steps)[0].contains("INT-98x does not exist"));
    }

    #[test]
    fn a_story_is_played_somewhere_or_excused() {
        let names: Vec<&str> = ["a/b"].into_iter().chain(UNPLAYED.map(|(name, _)| name)).collect();
        let story = |name: &&str| parse::story(name, "title: t\ncovers: INT-03\n\n+1 wait\n").unwrap();
        let stories: Vec<Story> = names.iter().map(story).collect();
        let found = |played: &[&str]| unplayed(&stories, &played.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(found(&["a/b"]), [""; 0]);
        assert_eq!(found(&[]), ["a/b was skipped by every coordinator, so nothing shows its rules"]);
        assert!(found(&names)[0].contains("is excused"), "{:?}", found(&names));
    }
}
