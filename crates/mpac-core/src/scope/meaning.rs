//! What two announces say they will do, and whether that may be the same work (LCK-11, `spec/wire.md` §6.23).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;
use serde_json::Value;

/// Entries of a list that are looked at and told, and bytes of one: the answer must stay small (SRV-18).
const ENTRIES: usize = 20;
const ENTRY_BYTES: usize = 200;

/// What somebody declares to do, as far as it can be compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// `add`, `rename` and the like.
    pub(crate) action: Option<String>,
    /// What is changed.
    pub(crate) symbols: BTreeSet<String>,
    /// What will hold afterwards, in one spelling.
    pub(crate) postconditions: BTreeSet<String>,
}

/// What two meanings have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    pub(crate) symbols: Vec<String>,
    pub(crate) postconditions: Vec<String>,
    /// Both say what they do, and it is the same.
    pub(crate) same_action: bool,
}

impl Meaning {
    /// From a scope's extensions, and the names of functions in an objective. Members of a wrong type say nothing.
    pub(crate) fn of(scope: &Scope, objective: &str) -> Self {
        let mut meaning = Self { symbols: bounded(functions(objective)), ..Self::default() };
        let read = |raw: &mpac_wire::Raw| raw.read::<Value>().ok();
        let Some(extensions) = scope.extensions.as_ref().and_then(read) else { return meaning };
        meaning.symbols.extend(texts(extensions.get("affects_symbols")));
        if let Some(semantics) = extensions.get("intent_semantics") {
            meaning.action = semantics.get("action").and_then(Value::as_str).map(one_spelling);
            let targets = semantics.get("targets").and_then(Value::as_array).into_iter().flatten();
            for it in targets.chain([semantics]) {
                meaning.symbols.extend(texts(it.get("symbol")));
                meaning.symbols.extend(texts(it.get("symbols")));
            }
            meaning.postconditions = postconditions(semantics);
        }
        meaning.symbols = bounded(meaning.symbols);
        meaning
    }

    /// What both declare, unless they declare different actions.
    pub(crate) fn in_common(&self, other: &Self) -> Option<Common> {
        if self.action.is_some() && other.action.is_some() && self.action != other.action {
            return None;
        }
        let both =
            |one: &BTreeSet<String>, other: &BTreeSet<String>| one.intersection(other).cloned().collect();
        let common = Common {
            symbols: both(&self.symbols, &other.symbols),
            postconditions: both(&self.postconditions, &other.postconditions),
            same_action: self.action.is_some() && self.action == other.action,
        };
        (!common.symbols.is_empty() || !common.postconditions.is_empty()).then_some(common)
    }
}

/// Texts said of what will hold: a text, or objects that say it under one of four names.
fn postconditions(semantics: &Value) -> BTreeSet<String> {
    let list = semantics.get("postconditions").and_then(Value::as_array).into_iter().flatten();
    let said = list.chain(semantics.get("postcondition")).flat_map(|it| {
        let members = ["text", "behavior", "expected", "description"];
        let inside = members.into_iter().filter_map(|key| it.get(key)).filter_map(Value::as_str);
        it.as_str().into_iter().chain(inside).map(one_spelling).collect::<Vec<_>>()
    });
    bounded(said.filter(|text| !text.is_empty()).collect())
}

/// A text, or a list of texts.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => [text.clone()].into(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// Lower case, runs of blanks collapsed.
fn one_spelling(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Names that a bracket follows: `add total() to Cart` speaks of `total`.
fn functions(objective: &str) -> BTreeSet<String> {
    let before_bracket = objective.split('(').collect::<Vec<_>>();
    let heads = before_bracket.split_last().map(|(_, heads)| heads).unwrap_or_default();
    let in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let names = heads.iter().map(|head| head.rsplit(|c: char| !in_name(c)).next().unwrap_or_default());
    names
        .filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
        .map(ToOwned::to_owned)
        .collect()
}

fn bounded(set: BTreeSet<String>) -> BTreeSet<String> {
    set.into_iter().filter(|entry| !entry.is_empty() && entry.len() <= ENTRY_BYTES).take(ENTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn meaning(semantics: &str, objective: &str) -> Meaning {
        let text = alloc::format!(
            r#"{{"kind":"file_set","resources":["a"],"extensions":{{"intent_semantics":{semantics}}}}}"#
        );
        Meaning::of(&serde_json::from_str(&text).unwrap(), objective)
    }

    #[test]
    fn symbols_are_found_wherever_they_are_declared() {
        let all = meaning(
            r#"{"symbol":"a","symbols":["b",7],"targets":[{"symbol":"c"},{"symbols":["d"]},9]}"#,
            "adds Cart.total() and f (x), not 3(4) nor (y)",
        );
        let found: Vec<&str> = all.symbols.iter().map(String::as_str).collect();
        assert_eq!(found, ["Cart.total", "a", "b", "c", "d"]);
        assert_eq!(meaning("7", ""), Meaning::default());
        let many: Vec<String> = (0..1000).map(|n| alloc::format!("s{n}")).collect();
        let text = serde_json::to_string(&many).unwrap();
        assert_eq!(meaning(&alloc::format!(r#"{{"symbols":{text}}}"#), "").symbols.len(), ENTRIES);
        let called = many.join("() ");
        assert_eq!(Meaning::of(&Scope::files(["a"]), &called).symbols.len(), ENTRIES);
    }

    #[test]
    fn postconditions_are_compared_in_one_spelling() {
        let one = meaning(r#"{"postconditions":["Totals  ARE rounded",{"behavior":"x"}]}"#, "");
        let other = meaning(r#"{"postcondition":"totals are\nrounded"}"#, "");
        let common = one.in_common(&other).unwrap();
        assert_eq!(common.postconditions, vec!["totals are rounded"]);
        assert!(!common.same_action);
    }

    #[test]
    fn different_actions_are_different_work() {
        let doing = |action: &str| meaning(&alloc::format!(r#"{{"action":"{action}","symbol":"f"}}"#), "");
        assert!(doing("Add").in_common(&doing("add")).unwrap().same_action);
        assert_eq!(doing("add").in_common(&doing("remove")), None);
        let silent = meaning(r#"{"symbol":"f"}"#, "");
        assert!(!doing("add").in_common(&silent).unwrap().same_action);
        assert_eq!(silent.in_common(&meaning("{}", "")), None);
    }
}
