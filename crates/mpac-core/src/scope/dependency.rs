//! Edits that reach files somebody else works on, by what the authors declared (SCO-18 to SCO-20, D-070).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::Scope;

use super::normalize;
use super::overlap::{SetKind, entries};

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
#[derive(Default)]
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

/// The files of `b` that edits under `a` reach. Both must be sets of files without a direct overlap.
pub fn reached(a: &Scope, b: &Scope) -> Vec<Reached> {
    let (Some((SetKind::Files, _)), Some((SetKind::Files, files))) = (entries(a), entries(b)) else {
        return Vec::new();
    };
    let (from, to) = (Declared::of(a), Declared::of(b));
    let mut found = Vec::new();
    for file in from.impact.intersection(&files) {
        if from.affects.is_empty() {
            found.push(Reached { file: file.clone(), symbols: None });
            continue;
        }
        let Some(Some(used)) = from.used.get(file) else {
            found.push(Reached { file: file.clone(), symbols: None });
            continue;
        };
        let symbols: BTreeSet<String> = from
            .affects
            .iter()
            .flat_map(|affected| used.iter().chain(&to.depends_on).map(move |used| (affected, used)))
            .filter(|(affected, used)| is_same_symbol(affected, used))
            .map(|(affected, used)| longer(affected, used).clone())
            .collect();
        if !symbols.is_empty() {
            found.push(Reached { file: file.clone(), symbols: Some(symbols.into_iter().collect()) });
        }
    }
    found
}

fn longer<'a>(a: &'a String, b: &'a String) -> &'a String {
    if b.len() > a.len() { b } else { a }
}

/// Equal, equal in the last dotted segment, or of one owner (SCO-19).
fn is_same_symbol(a: &str, b: &str) -> bool {
    let last = |symbol: &str| symbol.rsplit('.').next().map(String::from).unwrap_or_default();
    let by_owner = |one: &str, other: &str| {
        owner(one).is_some_and(|owner_of_one| {
            owner_of_one == other || owner(other) == Some(owner_of_one) || last(owner_of_one) == last(other)
        })
    };
    a == b || last(a) == last(b) || by_owner(a, b) || by_owner(b, a)
}

/// What stands before the last dot, if that is a type: its own last segment begins with an upper-case letter.
fn owner(symbol: &str) -> Option<&str> {
    let (owner, _) = symbol.rsplit_once('.')?;
    owner.rsplit('.').next()?.starts_with(char::is_uppercase).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn scope(files: &str, extensions: &str) -> Scope {
        let text = alloc::format!(r#"{{"kind":"file_set","resources":[{files}],"extensions":{extensions}}}"#);
        serde_json::from_str(&text).unwrap()
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

    #[test]
    fn symbols_of_one_owner_match() {
        for (a, b) in [
            ("m.Cart.total", "m.Cart"),
            ("Cart.total", "m.Cart.add"),
            ("Cart.total", "Cart"),
            ("x.Cart.total", "y.Cart"),
        ] {
            assert_eq!(is_same_symbol(a, b), is_same_symbol(b, a), "{a} {b}");
        }
        assert!(is_same_symbol("m.Cart.total", "m.Cart.add") && is_same_symbol("m.Cart.total", "x.Cart"));
        assert!(!is_same_symbol("m.cart.total", "m.cart.add"));
    }
}
