//! Reads stories: a head of `key: value` lines, then steps with their expectations below them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::scan::{Scan, is_whole};
use super::story::{Expect, Expected, Feature, Step, Story, Strength, Time, Who};
use super::{keys, sound, verbs};

/// Seconds that a story may take: some thirty years.
const LONGEST: f64 = 1e9;

/// How often one step, or one line of what is expected, may come.
const OFTEN: usize = 10_000;

/// Reads a story; the error says where and what.
pub(super) fn story(name: &str, text: &str) -> Result<Story, String> {
    let lines = logical(&keys::written_out(text));
    let split = lines.iter().position(|line| line.text.is_empty()).unwrap_or(lines.len());
    let mut story = head(name, &lines[..split])?;
    for line in repeated(&lines[split..]).iter().filter(|line| !line.text.is_empty()) {
        let at = |problem: String| format!("{name}:{}: {problem}\n    {}", line.number, line.text);
        if line.indented {
            let step = story.steps.last_mut().ok_or_else(|| at("an expectation before any step".into()))?;
            let expect = expectation(line).map_err(at)?;
            if verbs::is_answer_to_join(step, &expect) {
                step.expects.retain(|expect| expect.line != step.line); // what a join expects unless told
            }
            step.expects.push(expect);
        } else {
            story.steps.push(step(line).map_err(at)?);
        }
    }
    if story.steps.is_empty() == story.opens {
        return Err(format!(
            "{name}: something happens in a session that opens, and nothing in one that does not"
        ));
    }
    if let Some((line, problem)) = sound::flaw(&story) {
        return Err(format!("{name}:{line}: {problem}"));
    }
    story.needs.extend(implied(&story));
    Ok(story)
}

/// Steps that happen `N times`, each with the expectations below it; `{n}` counts.
fn repeated(lines: &[Line]) -> Vec<Line> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let below = lines[at + 1..].iter().take_while(|line| line.indented).count();
        let block = &lines[at..=at + below];
        let words: Vec<&str> = lines[at].text.splitn(4, ' ').collect();
        match words.as_slice() {
            [who, count, "times", rest]
                if !lines[at].indented && count.parse().is_ok_and(|count| (1..=OFTEN).contains(&count)) =>
            {
                for n in 1..=count.parse().unwrap_or(0) {
                    let number = |text: &str| text.replace("{n}", &usize::to_string(&n));
                    all.push(Line { text: number(&format!("{who} {rest}")), ..block[0] });
                    all.extend(block[1..].iter().map(|line| Line { text: number(&line.text), ..*line }));
                }
            }
            _ => all.extend(block.iter().map(|line| Line { text: line.text.clone(), ..*line })),
        }
        at += 1 + below;
    }
    all
}

/// A line with what goes on below it.
struct Line {
    number: usize,
    indented: bool,
    text: String,
}

/// Comments are gone; a line with an open bracket, and in the head an indented one, goes on.
fn logical(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut in_head = true;
    let mut open = false;
    for (number, raw) in (1..).zip(text.lines()) {
        if raw.trim_start().starts_with('#') && !open {
            continue;
        }
        let indented = raw.starts_with([' ', '\t']);
        let raw = raw.trim();
        match lines.last_mut() {
            Some(last) if open || (in_head && indented && !raw.is_empty()) => {
                last.text.push(' ');
                last.text.push_str(raw);
            }
            _ => {
                if raw.is_empty() && lines.is_empty() {
                    continue;
                }
                in_head &= !raw.is_empty();
                lines.push(Line { number, indented, text: raw.to_owned() });
            }
        }
        open =
            !in_head && lines.last().is_some_and(|last| !is_whole(&last.text) && !verbs::is_raw(&last.text));
    }
    lines
}

fn head(name: &str, lines: &[Line]) -> Result<Story, String> {
    let mut story = Story {
        name: name.to_owned(),
        title: String::new(),
        covers: Vec::new(),
        strength: Strength::Must,
        protocol: "0.1.13".to_owned(),
        config: Map::new(),
        needs: BTreeSet::new(),
        opens: true,
        steps: Vec::new(),
    };
    let mut keys = BTreeSet::new();
    for line in lines {
        let at = |problem: String| format!("{name}:{}: {problem}", line.number);
        let (key, value) =
            line.text.split_once(':').ok_or_else(|| at(format!("no `key: value`: {}", line.text)))?;
        let value = value.trim();
        if !keys.insert(key) {
            return Err(at(format!("`{key}` is there already")));
        }
        match key {
            "title" => value.clone_into(&mut story.title),
            "covers" => {
                story.covers =
                    value.split([' ', ',']).filter(|id| !id.is_empty()).map(str::to_owned).collect()
            }
            "strength" => {
                let known = Strength::ALL.into_iter().find(|it| it.name() == value);
                story.strength = known.ok_or_else(|| at(format!("`{value}` is no strength")))?;
            }
            "protocol" if LEVELS.contains(&value) => value.clone_into(&mut story.protocol),
            "protocol" => return Err(at(format!("`{value}` is no protocol level"))),
            "config" => {
                story.config = serde_json::from_str(value).map_err(|error| at(format!("config: {error}")))?;
            }
            "opens" if value == "no" => story.opens = false,
            "opens" => return Err(at("`opens` can only be `no`".to_owned())),
            "needs" => {
                for word in value.split_whitespace() {
                    let known = Feature::ALL.into_iter().find(|it| it.name() == word);
                    story.needs.insert(known.ok_or_else(|| at(format!("`{word}` is no feature")))?);
                }
            }
            _ => return Err(at(format!("`{key}` is no key of the head"))),
        }
    }
    if story.title.is_empty() || story.covers.is_empty() {
        return Err(format!("{name}: a story has a title and covers something"));
    }
    Ok(story)
}

const LEVELS: [&str; 3] = ["0.1.13", "0.1.14", "0.1.15"];

/// Keys of the configuration that ask for something else than a configurable coordinator.
const OF_THEIR_OWN: [(&str, Feature); 3] =
    [("session_id", Feature::Named), ("opens_with_hello", Feature::Lazy), ("workspace", Feature::Workspace)];

/// What follows from what it does.
fn implied(story: &Story) -> BTreeSet<Feature> {
    use super::story::{Act, Local};
    let mut needs = BTreeSet::new();
    if story.config.keys().any(|key| !OF_THEIR_OWN.iter().any(|(own, _)| key == own))
        || story.protocol != "0.1.13"
    {
        needs.insert(Feature::Config);
    }
    let own = OF_THEIR_OWN.iter().filter(|(key, _)| story.config.contains_key(*key));
    needs.extend(own.map(|(_, feature)| *feature));
    if story.config.contains_key("credentials") || story.config.contains_key("security_profile") {
        needs.insert(Feature::Credentials);
    }
    let is_signed = |step: &Step| matches!(step.act, Act::Message { signed: Some(_), .. });
    let has_keys = story.config.contains_key("coordinator_key") || story.config.contains_key("keys");
    if has_keys || story.steps.iter().any(is_signed) {
        needs.insert(Feature::Signatures);
    }
    if story.steps.iter().filter_map(|step| step.act.conn()).any(|conn| conn.contains('@')) {
        needs.insert(Feature::Sessions);
    }
    for step in &story.steps {
        if matches!(step.act, Act::Binary { .. } | Act::Deafen { .. }) {
            needs.insert(Feature::Server);
        }
        match &step.act {
            Act::Local(Local::Close { .. } | Local::Beat | Local::HandOver { .. }) => {
                needs.insert(Feature::Local);
            }
            Act::Local(Local::Stop) => {
                needs.insert(Feature::Stop);
            }
            Act::Local(_) => {
                needs.insert(Feature::Restart);
            }
            _ => {}
        }
    }
    needs
}

fn step(line: &Line) -> Result<Step, String> {
    let mut scan = Scan::new(&line.text);
    let time = match scan.peek() {
        Some(word) if word.starts_with(['@', '+']) => {
            let seconds = word[1..].parse().ok().filter(|seconds| (0.0..=LONGEST).contains(seconds));
            let seconds: f64 = seconds.ok_or_else(|| format!("`{word}` is no time"))?;
            scan.word();
            if word.starts_with('@') { Time::At(seconds) } else { Time::After(seconds) }
        }
        _ => Time::After(0.0),
    };
    let (act, label) = verbs::act(&mut scan)?;
    scan.end()?;
    let mut step = Step { line: line.number, text: line.text.clone(), time, act, label, expects: Vec::new() };
    if verbs::is_join(&line.text) {
        step.expects.push(verbs::joined(line.number));
    }
    Ok(step)
}

fn expectation(line: &Line) -> Result<Expect, String> {
    let mut scan = Scan::new(&line.text);
    let who = match scan.need("whom")? {
        "all" => Who::All,
        "others" => Who::Others,
        "sender" => Who::Sender,
        "session" => Who::Session,
        names => Who::Conns(names.split(',').map(str::to_owned).collect()),
    };
    let count = if scan.eat("twice") {
        2
    } else if let Some(times) = scan.peek().and_then(|word| word.parse().ok()) {
        scan.word();
        scan.must("times")?;
        if !(1..=OFTEN).contains(&times) {
            return Err(format!("{times} times is not 1 to {OFTEN} times"));
        }
        times
    } else {
        1
    };
    let then = scan.eat("then");
    let may = scan.eat("may");
    let verb = scan.need("gets, is or holds")?;
    let what = match (verb, &who) {
        ("holds", Who::Session) => Expected::Holds(scan.json()?),
        ("is", _) => {
            scan.must("closed")?;
            scan.must("with")?;
            let code = scan.need("a close code")?;
            Expected::Closed(code.parse().map_err(|_| format!("`{code}` is no close code"))?)
        }
        ("gets" | "get", _) => gets(&mut scan)?,
        _ => return Err(format!("`{verb}` is no verb of an expectation")),
    };
    let rule = scan.rule();
    scan.end()?;
    Ok(Expect { line: line.number, text: line.text.clone(), who, then, count, may, what, rule })
}

fn gets(scan: &mut Scan<'_>) -> Result<Expected, String> {
    Ok(match scan.need("what")? {
        "nothing" => Expected::Nothing,
        "sideband" => Expected::Sideband(scan.json()?),
        "error" => {
            let code = scan.need("an error code")?.to_owned();
            Expected::Error { code, payload: scan.optional_json()? }
        }
        "relay" => {
            let kind = scan.need("a message type")?.to_owned();
            let of = if scan.eat("of") { Some(scan.need("a label")?.to_owned()) } else { None };
            Expected::Relay { kind, of, payload: scan.optional_json()? }
        }
        kind => {
            let kind = kind.to_owned();
            let payload = scan.optional_json()?;
            let envelope = if scan.eat("env") { scan.json()? } else { Value::Object(Map::new()) };
            Expected::Authored { kind, payload, envelope }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "title: t\ncovers: INT-09\n  D-132\n\n";

    fn read(steps: &str) -> Result<Story, String> {
        story("area/name", &format!("{HEAD}{steps}"))
    }

    #[test]
    fn a_story_is_read_with_its_times_labels_and_expectations() {
        let story = read(
            "alice joins as contributor\n# a comment\nalice announces i1 on a.py {\"ttl_sec\":\n  60} as m\n    all gets relay INTENT_ANNOUNCE [INT-10]\n+60 wait\n    alice twice then gets INTENT_WITHDRAW {\"intent_id\":\"$any\"} env {\"ts\":\"$time\"}\n",
        )
        .unwrap();
        assert_eq!(story.covers, ["INT-09", "D-132"]);
        assert_eq!(story.steps.len(), 3);
        assert_eq!(story.steps[0].expects.len(), 1, "a join expects SESSION_INFO by itself");
        assert_eq!(story.steps[1].label.as_deref(), Some("m"));
        assert_eq!(story.steps[1].expects[0].rule.as_deref(), Some("INT-10"));
        let last = &story.steps[2].expects[0];
        assert!(last.then && !last.may && last.count == 2);
        assert!((story.seconds() - 60.0).abs() < 1e-9);
    }

    #[test]
    fn a_join_expects_session_info_unless_its_answer_is_told() {
        let expects =
            |lines: &str| read(&format!("alice joins as owner\n{lines}")).unwrap().steps[0].expects.len();
        assert_eq!(expects("    alice gets error X\n"), 1);
        assert_eq!(expects("    sender gets SESSION_INFO {}\n"), 1);
        assert_eq!(expects("    others gets nothing\n    alice may get INTENT_UPDATE\n"), 3);
    }

    #[test]
    fn a_step_can_happen_many_times_and_counts() {
        let story =
            read("alice 3 times withdraws i{n}\n    sender gets error X {\"a\":\"{n}\"}\n+1 wait\n").unwrap();
        assert_eq!(story.steps.len(), 4);
        assert_eq!(story.steps[2].text, "alice withdraws i3");
        assert_eq!(story.steps[2].expects.len(), 1);
    }

    #[test]
    fn every_mistake_is_refused_with_its_place() {
        for (steps, expected) in [
            ("", "something happens"),
            ("    all gets nothing\n", "before any step"),
            ("alice flies\n", "`flies` is no verb"),
            ("alice withdraws i1 {\"a\":1} x\n", "`x` is left over"),
            ("@x wait\n", "`@x` is no time"),
            ("+inf wait\n", "`+inf` is no time"),
            ("@-1 wait\n", "`@-1` is no time"),
            ("al 99999999999 times beats\n", "is no verb"),
            ("+1 wait\n    sender 0 times gets X\n", "0 times is not"),
            ("+1 wait\n    all gets error\n", "an error code is missing"),
            ("+1 wait\n    all sings\n", "no verb of an expectation"),
        ] {
            let error = read(steps).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            story("a/b", "title: t\ncovers: INT-09\nlevel: 3\n\n+1 wait\n").unwrap_err().contains("a/b:3")
        );
        assert!(story("a/b", "title: t\n\n+1 wait\n").is_err());
        for (head, expected) in [
            ("covers: INT-10\n", "a/b:3: `covers` is there already"),
            ("protocol: 0.1.16\n", "a/b:3: `0.1.16` is no protocol level"),
            ("opens: yes\n", "a/b:3: `opens` can only be"),
        ] {
            let text = format!("title: t\ncovers: INT-09\n{head}\n+1 wait\n");
            assert!(story("a/b", &text).unwrap_err().starts_with(expected));
        }
    }

    #[test]
    fn what_a_runner_must_be_able_to_do_follows_from_the_story() {
        let text = "title: t\ncovers: X\nconfig: {\"workspace\":{},\n  \"resolution_timeout_sec\":1}\n\ncoordinator restarts\n";
        let needs = story("a/b", text).unwrap().needs;
        assert_eq!(
            needs.into_iter().collect::<Vec<_>>(),
            [Feature::Config, Feature::Workspace, Feature::Restart]
        );
    }
}
