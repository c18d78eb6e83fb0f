//! Edits that reach files somebody else works on, by what the authors declared (SCO-18 to SCO-20, D-070).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;

use super::outline::{Class, Entries, entries};
use super::{normalize, symbols};

/// A file that one side's edits reach, and the symbols concerned; none means the file as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reached {
    /// Normalised.
    pub file: String,
    /// Sorted; `None` where symbols are not known.
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

fn strings(value: Option<&serde_json::Value>) -> Vec<String> {
    let entries = value.and_then(serde_json::Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| entry.as_str().map(Into::into)).collect()
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

    /// The files of `other` that these edits reach. There must be no direct overlap.
    pub fn reach(&self, other: &Edits<'_>) -> Vec<Reached> {
        let (from, to) = (&self.declared, &other.declared);
        let mut found = Vec::new();
        // Looked up one by one: the declared list is mostly the much shorter one.
        for file in from.impact.iter().filter(|file| other.files.contains(file)) {
            let used = from.used.get(file).and_then(Option::as_ref).filter(|_| !from.affects.is_empty());
            let Some(used) = used else {
                found.push(Reached { file: file.clone(), symbols: None });
                continue;
            };
            let used: Vec<&str> = used.iter().chain(&to.depends_on).map(String::as_str).collect();
            let affected: Vec<&str> = from.affects.iter().map(String::as_str).collect();
            let symbols = symbols::shared(&affected, &used);
            if !symbols.is_empty() {
                found.push(Reached { file: file.clone(), symbols: Some(symbols) });
            }
        }
        found
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
        Edits::of(a).unwrap().reach(&Edits::of(b).unwrap())
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
}
