//! Edits that reach files somebody else works on, by what the authors declared (SCO-18 to SCO-20, D-070).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;

use super::normalize;
use super::outline::{Class, Entries, entries};
use super::symbols::Affected;

/// Bytes of symbols that are told of what edits reach. One file may be reached by all symbols of a list, and all files of a list
/// may: the answer would be as long as the two multiplied (SRV-18).
const ROOM: usize = 16 << 10;

/// A file that one side's edits reach, and the symbols concerned; none means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// Normalised.
    pub file: String,
    /// Sorted; `None` where symbols are not known, or too many.
    pub symbols: Option<Vec<String>>,
}

/// What a scope's extensions declare; members of a wrong type are ignored.
#[derive(Default, PartialEq, Eq)]
struct Declared {
    impact: BTreeSet<String>,
    affects: Vec<String>,
    /// Per importing file: the symbols it uses, or nothing where they are unknown.
    used: BTreeMap<String, Option<Vec<String>>>,
    depends_on: Vec<String>,
}

impl Declared {
    fn of(scope: &Scope) -> Self {
        let read = |raw: &mpac_wire::Raw| raw.read::<serde_json::Value>().ok();
        let Some(extensions) = scope.extensions.as_ref().and_then(read) else { return Self::default() };
        let list = |key: &str| strings(extensions.get(key));
        let used = extensions.get("impact_symbols").and_then(serde_json::Value::as_object);
        let used = used
            .into_iter()
            .flatten()
            .map(|(file, symbols)| (normalize(file), symbols.is_array().then(|| strings(Some(symbols)))));
        Self {
            impact: list("impact").iter().map(|file| normalize(file)).collect(),
            affects: list("affects_symbols"),
            used: used.collect(),
            depends_on: list("depends_on_symbols"),
        }
    }
}

/// Sorted: in which order they are given, and how often, declares nothing.
fn strings(value: Option<&serde_json::Value>) -> Vec<String> {
    let entries = value.and_then(serde_json::Value::as_array).into_iter().flatten();
    let entries: BTreeSet<String> = entries.filter_map(|entry| entry.as_str().map(Into::into)).collect();
    entries.into_iter().collect()
}

/// The files that edits under this scope reach, as declared. Most scopes declare none.
pub(super) fn impact(scope: &Scope) -> BTreeSet<String> {
    Declared::of(scope).impact
}

/// Whether the same edits are declared to reach, or to need, something else than before (SCO-18).
pub fn is_declared_anew(new: &Scope, old: &Scope) -> bool {
    Declared::of(new) != Declared::of(old)
}

/// A set of files and what was declared of editing them: worked out once, compared often.
pub struct Edits<'a> {
    files: Entries<'a>,
    declared: Declared,
}

impl<'a> Edits<'a> {
    /// What a scope says; `None` for other kinds, which declare nothing that counts.
    pub fn of(scope: &'a Scope) -> Option<Self> {
        let (class, files) = entries(scope);
        (class == Class::Files).then(|| Self { files, declared: Declared::of(scope) })
    }

    /// For looking what these edits reach.
    pub fn reaching(&self) -> Reaching<'_> {
        Reaching { edits: self, affected: Affected::of(&self.declared.affects) }
    }
}

/// Edits, with what looking takes that is the same for everybody.
pub struct Reaching<'a> {
    edits: &'a Edits<'a>,
    affected: Affected<'a>,
}

impl Reaching<'_> {
    /// The files of `other` that these edits reach. There must be no direct overlap.
    pub fn reach(&self, other: &Edits<'_>) -> Vec<Reached> {
        let (from, to) = (&self.edits.declared, &other.declared);
        let needed = within(&mut { ROOM }, self.affected.shared(&to.depends_on));
        let is_needed = needed.as_ref().is_none_or(|needed| !needed.is_empty());
        let mut room = ROOM;
        let mut found = Vec::new();
        for file in common(&from.impact, &other.files) {
            let used = from.used.get(file).and_then(Option::as_ref).filter(|_| !from.affects.is_empty());
            let symbols = match (used, &needed) {
                (Some(used), _) if !is_needed && !self.affected.meet(used) => continue,
                (Some(used), Some(needed)) => {
                    within(&mut room, needed.iter().copied().chain(self.affected.shared(used)))
                }
                (None, _) | (_, None) => None,
            };
            let symbols = symbols.map(|found| found.into_iter().map(ToOwned::to_owned).collect());
            found.push(Reached { file: file.to_owned(), symbols });
        }
        found
    }
}

/// These symbols, if there is room for all of them; if not, there is none for any others either.
fn within<'a>(room: &mut usize, symbols: impl Iterator<Item = &'a str>) -> Option<BTreeSet<&'a str>> {
    let mut left = core::mem::take(room);
    if left == 0 {
        return None;
    }
    let mut found = BTreeSet::new();
    for symbol in symbols {
        if found.insert(symbol) {
            left = left.checked_sub(symbol.len() + 1)?;
        }
    }
    *room = left;
    Some(found)
}

/// What is in both, sorted: the shorter list is looked up in the longer one.
fn common<'a>(impact: &'a BTreeSet<String>, files: &'a Entries<'_>) -> Vec<&'a str> {
    if files.iter().len() < impact.len() {
        files.iter().filter(|file| impact.contains(*file)).collect()
    } else {
        impact.iter().map(String::as_str).filter(|file| files.contains(file)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn scope(files: &str, extensions: &str) -> Scope {
        let text = alloc::format!(r#"{{"kind":"file_set","resources":[{files}],"extensions":{extensions}}}"#);
        serde_json::from_str(&text).unwrap()
    }

    fn reached(a: &Scope, b: &Scope) -> Vec<Reached> {
        Edits::of(a).unwrap().reaching().reach(&Edits::of(b).unwrap())
    }

    fn at(file: &str, symbols: Option<&[&str]>) -> Vec<Reached> {
        let symbols = symbols.map(|list| list.iter().map(|symbol| String::from(*symbol)).collect());
        vec![Reached { file: file.into(), symbols }]
    }

    #[test]
    fn files_that_import_what_is_edited_are_reached() {
        let b = scope(r#""./b.py""#, "{}");
        assert_eq!(reached(&scope(r#""a.py""#, r#"{"impact":["b.py"]}"#), &b), at("b.py", None));
        assert_eq!(reached(&scope(r#""a.py""#, r#"{"impact":["c.py"]}"#), &b), vec![]);
        assert_eq!(reached(&scope(r#""a.py""#, r#"{"impact":7}"#), &b), vec![]);
    }

    #[test]
    fn the_order_of_a_list_declares_nothing() {
        let a = |lists: &str| scope(r#""a.py""#, lists);
        let old = a(r#"{"impact":["b","c"],"affects_symbols":["f","g"],"impact_symbols":{"b":["f","g"]}}"#);
        let same =
            a(r#"{"impact":["c","./b"],"affects_symbols":["g","f","g"],"impact_symbols":{"b":["g","f"]}}"#);
        assert!(!is_declared_anew(&same, &old));
        for other in [
            r#"{"impact":["b"],"affects_symbols":["f","g"],"impact_symbols":{"b":["f","g"]}}"#,
            r#"{"impact":["b","c"],"affects_symbols":["f"],"impact_symbols":{"b":["f","g"]}}"#,
            r#"{"impact":["b","c"],"affects_symbols":["f","g"],"impact_symbols":{"b":["f"]}}"#,
            "{}",
        ] {
            assert!(is_declared_anew(&a(other), &old), "{other}");
        }
    }

    #[test]
    fn declared_symbols_narrow_it_down() {
        let b = scope(r#""b.py""#, r#"{"depends_on_symbols":["m.late"]}"#);
        let a = |affects: &str, used: &str| {
            scope(
                r#""a.py""#,
                &alloc::format!(
                    r#"{{"impact":["b.py"],"affects_symbols":[{affects}],"impact_symbols":{{"b.py":{used}}}}}"#
                ),
            )
        };
        assert_eq!(reached(&a(r#""m.f""#, r#"["m.g"]"#), &b), vec![]);
        assert_eq!(reached(&a(r#""f""#, r#"["m.f"]"#), &b), at("b.py", Some(&["m.f"])));
        assert_eq!(reached(&a(r#""m.late""#, "[]"), &b), at("b.py", Some(&["m.late"])));
        assert_eq!(reached(&a(r#""m.f""#, "null"), &b), at("b.py", None));
    }

    #[test]
    fn symbols_are_told_as_long_as_there_is_room() {
        let text = |list: Vec<String>| serde_json::to_string(&list).unwrap();
        let names = |count: usize| (0..count).map(|n| alloc::format!("{n:0>9}.f")).collect::<Vec<_>>();
        let files: Vec<String> = (0..4).map(|n| alloc::format!("b{n}")).collect();
        let used: BTreeMap<&String, [&str; 1]> = files.iter().zip([["f"], ["g"], ["f"], ["f"]]).collect();
        let extensions =
            serde_json::json!({"impact": files, "affects_symbols": names(1000), "impact_symbols": used});
        let a = scope(r#""a""#, &serde_json::to_string(&extensions).unwrap());
        let list = text(files);
        let b = scope(list.trim_matches(['[', ']']), "{}");
        let found = reached(&a, &b);
        let told: Vec<_> =
            found.iter().map(|it| (it.file.as_str(), it.symbols.as_ref().map(Vec::len))).collect();
        assert_eq!(told, [("b0", Some(1000)), ("b2", None), ("b3", None)]);
        assert_eq!(found[0].symbols.as_deref(), Some(names(1000).as_slice()));
    }
}
