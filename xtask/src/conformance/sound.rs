//! What would let a story pass for the wrong reason, found when it is read: nobody of that name, a pattern that fits
//! everything, a line that takes another back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::pattern;
use super::story::{Act, Expect, Expected, Step, Story, Time, Who};

/// The first flaw, with its line.
pub(super) fn flaw(story: &Story) -> Option<(usize, String)> {
    let mut actors = BTreeSet::new();
    let mut named: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut at = 0.0;
    for step in &story.steps {
        if matches!(step.time, Time::At(time) if time < at) {
            return Some((step.line, format!("it is {at} s already")));
        }
        at = step.time.after(at);
        actors.extend(step.act.conn());
        for (line, value, is_pattern) in values(step) {
            if let Some(problem) = is_pattern.then(|| bad(value)).flatten() {
                return Some((line, problem));
            }
            names(value, &mut |name| named.entry(name).or_insert((line, 0)).1 += 1);
        }
        for (index, expect) in step.expects.iter().enumerate() {
            let problem = stranger(expect, &actors).or_else(|| vain(step, index, expect));
            if let Some(problem) = problem {
                return Some((expect.line, problem));
            }
        }
    }
    let once = named.iter().find(|(name, (_, times))| **name != "session" && *times == 1);
    once.map(|(name, (line, _))| {
        (*line, format!("`${name}` is named once: where anything will do, say `$any`"))
    })
}

/// What is sent and what is expected, with the line it stands in; the latter are patterns.
fn values(step: &Step) -> Vec<(usize, &Value, bool)> {
    let mut values = Vec::new();
    match &step.act {
        Act::Message { payload, with, signed, .. } => {
            values.extend([(step.line, payload, false), (step.line, with, false)]);
            values.extend(signed.iter().map(|signed| (step.line, &signed.but, false)));
        }
        Act::Frame { value, .. } | Act::Binary { payload: value, .. } => {
            values.push((step.line, value, false));
        }
        _ => {}
    }
    for expect in &step.expects {
        match &expect.what {
            Expected::Authored { payload, envelope, .. } => {
                values.extend([(expect.line, payload, true), (expect.line, envelope, true)]);
            }
            Expected::Relay { payload, .. } | Expected::Error { payload, .. } => {
                values.push((expect.line, payload, true));
            }
            Expected::Sideband(value) | Expected::Holds(value) => values.push((expect.line, value, true)),
            Expected::Nothing | Expected::Closed(_) => {}
        }
    }
    values
}

/// Calls `seen` with every variable.
fn names<'a>(value: &'a Value, seen: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => pattern::variable(text).into_iter().for_each(seen),
        Value::Array(list) => list.iter().for_each(|value| names(value, seen)),
        Value::Object(map) => map.values().for_each(|value| names(value, seen)),
        _ => {}
    }
}

/// Why a pattern fits what it should not, as one with a slip of the pen does.
fn bad(pattern: &Value) -> Option<String> {
    let map = match pattern {
        Value::Array(list) => return list.iter().find_map(bad),
        Value::Object(map) => map,
        _ => return None,
    };
    for (key, value) in map.iter().filter(|(key, _)| key.starts_with('$')) {
        let is_right = match key.as_str() {
            "$has" | "$lacks" | "$one" => value.as_array().is_some_and(|list| !list.is_empty()),
            "$set" => value.is_array(),
            "$size" => value.is_u64(),
            "$from" | "$to" => value.is_number(),
            "$starts" => value.as_str().is_some_and(|start| !start.is_empty()),
            "$find" => value.as_object().is_some_and(|map| !map.is_empty()),
            "$not" => true,
            _ => return Some(format!("`{key}` is no word of a pattern")),
        };
        if !is_right {
            return Some(format!("`{key}` cannot be {}", pattern::short(value)));
        }
    }
    let special = map.keys().find(|key| key.starts_with('$'));
    let plain = map.keys().find(|key| !key.starts_with('$'));
    match (special, plain) {
        (Some(special), Some(plain)) if !map.contains_key("$find") => {
            Some(format!("`{plain}` beside `{special}` is not looked at"))
        }
        _ => map.values().find_map(bad),
    }
}

/// A connection on which nobody has ever spoken hears nothing, whatever the coordinator does.
fn stranger(expect: &Expect, actors: &BTreeSet<&str>) -> Option<String> {
    let Who::Conns(conns) = &expect.who else { return None };
    let unknown = conns.iter().find(|conn| !actors.contains(conn.as_str()))?;
    Some(format!("`{unknown}` has not spoken yet"))
}

/// Words that say nothing, and lines that another takes back.
fn vain(step: &Step, index: usize, expect: &Expect) -> Option<String> {
    let is_nothing = matches!(expect.what, Expected::Nothing);
    if (expect.may || is_nothing) && (expect.then || expect.count != 1) {
        return Some("how often and in which order is told of what must come only".to_owned());
    }
    if is_nothing && expect.may {
        return Some("who may get nothing must not get anything: `gets nothing`".to_owned());
    }
    // `gets nothing` and `may get`: nothing else.
    let mut others = step.expects.iter().enumerate().filter(|(at, other)| *at != index && !other.may);
    let other = others.find(|(_, other)| is_nothing && is_same(step, expect, other));
    other.map(|(_, other)| format!("`{}` says otherwise", other.text))
}

/// Whether two lines concern the same connection for certain.
fn is_same(step: &Step, one: &Expect, other: &Expect) -> bool {
    let conns = |who: &Who| match who {
        Who::Conns(conns) => conns.clone(),
        Who::Sender => step.act.conn().map(str::to_owned).into_iter().collect(),
        Who::All | Who::Others | Who::Session => Vec::new(),
    };
    one.who == other.who || conns(&one.who).iter().any(|conn| conns(&other.who).contains(conn))
}

#[cfg(test)]
mod tests {
    use crate::conformance::parse;

    fn problem(steps: &str) -> String {
        let story = format!("title: t\ncovers: INT-09\n\nalice joins as owner\nbob joins as owner\n{steps}");
        parse::story("a/b", &story).map(|_| String::new()).unwrap_or_else(|problem| problem)
    }

    #[test]
    fn a_sound_story_is_taken() {
        let story = "@5 alice withdraws i1\n    bob gets INTENT_WITHDRAW {\"a\":\"$x\",\"b\":{\"$find\":{\"c\":1},\"d\":\"$x\"}}\n    alice gets nothing\n    alice may get X\n";
        assert_eq!(problem(story), "");
    }

    #[test]
    fn what_would_pass_for_the_wrong_reason_is_refused_with_its_line() {
        for (steps, expected) in [
            ("+1 wait\n    alcie gets nothing\n", "a/b:7: `alcie` has not spoken yet"),
            ("+1 wait\n    bob gets X {\"a\":{\"$has\":\"b\"}}\n", "a/b:7: `$has` cannot be \"b\""),
            ("+1 wait\n    bob gets X {\"a\":{\"$from\":\"$x\"}}\n", "a/b:7: `$from` cannot be"),
            ("+1 wait\n    bob gets X {\"a\":{\"$hase\":[\"b\"]}}\n", "a/b:7: `$hase` is no word"),
            ("+1 wait\n    bob gets X {\"a\":{\"$size\":1,\"b\":2}}\n", "a/b:7: `b` beside `$size`"),
            (
                "+1 wait\n    bob gets X [INT-01] \n    bob gets nothing\n",
                "a/b:8: `bob gets X [INT-01]` says otherwise",
            ),
            ("bob beats\n    bob gets X\n    sender gets nothing\n", "a/b:8: `bob gets X` says otherwise"),
            ("+1 wait\n    bob twice may get X\n", "a/b:7: how often"),
            ("+1 wait\n    bob may get nothing\n", "a/b:7: who may get nothing"),
            ("+9 wait\n@5 wait\n", "a/b:7: it is 9 s already"),
            ("+1 wait\n    bob gets X {\"a\":\"$x\"}\n", "a/b:7: `$x` is named once"),
        ] {
            assert!(problem(steps).starts_with(expected), "{}", problem(steps));
        }
    }
}
