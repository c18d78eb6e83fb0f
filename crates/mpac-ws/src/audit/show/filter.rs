//! Which entries somebody wants to see.

use std::collections::BTreeSet;
use std::iter;

use globset::{GlobBuilder, GlobMatcher};
use mpac_wire::Timestamp;
use mpac_wire::names::MessageType;

use super::item::Item;
use crate::audit::problem::Problem;
use crate::audit::text::harmless;
use crate::cli::audit::Filters;

/// Filters that make sense.
pub(super) struct Filter<'a> {
    given: &'a Filters,
    file: Option<Files>,
    now: Timestamp,
}

/// Files by name or pattern.
struct Files {
    asked: String,
    matcher: GlobMatcher,
}

impl<'a> Filter<'a> {
    /// # Errors
    /// When a pattern cannot be read.
    pub(super) fn new(given: &'a Filters, now: Timestamp) -> Result<Self, Problem> {
        let file = given.file.as_deref().map(Files::new).transpose()?;
        Ok(Self { given, file, now })
    }

    /// Whether entries are asked for by their type.
    pub(super) const fn asks_for_type(&self) -> bool {
        self.given.kind.is_some()
    }

    /// Whether nothing that comes after this entry can pass: a log's times do not go back.
    pub(super) fn is_over(&self, item: &Item) -> bool {
        self.given.until.as_ref().is_some_and(|until| until.is_before(item.n, item.at, self.now))
    }

    /// Whether entries from this one on can pass.
    pub(super) fn has_begun(&self, n: u64, at: Timestamp) -> bool {
        self.given.since.as_ref().is_none_or(|since| !since.is_after(n, at, self.now))
    }

    pub(super) fn passes(&self, item: &Item) -> bool {
        let given = self.given;
        let concerned = &item.concerned;
        let names = |asked: &Option<String>, ids: &BTreeSet<String>| {
            asked.as_ref().is_none_or(|asked| ids.contains(asked))
        };
        given.principal.as_ref().is_none_or(|asked| item.principal.as_ref() == Some(asked))
            && names(&given.intent, &concerned.intents)
            && names(&given.op, &concerned.ops)
            && names(&given.conflict, &concerned.conflicts)
            && self.file.as_ref().is_none_or(|files| concerned.files.iter().any(|file| files.has(file)))
            && given.kind.as_ref().is_none_or(|asked| is_of_type(item, asked))
            && self.has_begun(item.n, item.at)
            && !self.is_over(item)
    }
}

fn is_of_type(item: &Item, asked: &str) -> bool {
    types(item).any(|it| it.eq_ignore_ascii_case(asked))
}

/// What an entry is and what it came with, and what the coordinator said to it.
fn types(item: &Item) -> impl Iterator<Item = &str> {
    let came = item.message_type().map(MessageType::as_str);
    let sent = item.sent().map(|envelope| envelope.message_type.as_str());
    iter::once(item.kind()).chain(came).chain(sent)
}

/// What there was, for whoever asked for something else.
#[derive(Debug, Default)]
pub(super) struct Seen {
    principals: BTreeSet<String>,
    types: BTreeSet<String>,
}

impl Seen {
    /// Takes note of an entry, as far as it is of use.
    pub(super) fn take(&mut self, item: &Item, given: &Filters) {
        if given.principal.is_some() {
            self.principals.extend(item.principal.clone());
        }
        if given.kind.is_some() {
            self.types.extend(types(item).map(str::to_owned));
        }
    }

    /// That nothing was found, and why, where a name was asked for that nothing has.
    pub(super) fn nothing(&self, given: &Filters) -> String {
        let strange = |asked: &Option<String>, seen: &BTreeSet<String>| {
            let asked =
                asked.as_ref().filter(|asked| !seen.iter().any(|it| it.eq_ignore_ascii_case(asked)))?;
            let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
            (!seen.is_empty()).then(|| (asked.clone(), harmless(&seen.join(", "))))
        };
        if let Some((asked, seen)) = strange(&given.principal, &self.principals) {
            return format!("no such entry: nothing came from {asked:?}, but from {seen}");
        }
        if let Some((asked, seen)) = strange(&given.kind, &self.types) {
            return format!("no such entry: nothing is of type {asked:?}, but {seen}");
        }
        "no such entry".to_owned()
    }
}

impl Files {
    fn new(asked: &str) -> Result<Self, Problem> {
        // Shared names have neither; people who complete names in their shell have.
        let asked = asked.trim_start_matches("./");
        let anywhere = if asked.contains('/') { asked.to_owned() } else { format!("**/{asked}") };
        let glob = GlobBuilder::new(&anywhere).literal_separator(true).build();
        let matcher = glob.map_err(|error| Problem::Filter {
            flag: "--file",
            given: asked.to_owned(),
            reason: error.kind().to_string(),
        })?;
        Ok(Self { asked: asked.to_owned(), matcher: matcher.compile_matcher() })
    }

    /// Whether `name`, a file's or the pattern of an intent's scope, is one of them.
    fn has(&self, name: &str) -> bool {
        let covers = |pattern: &str| {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            glob.is_ok_and(|glob| glob.compile_matcher().is_match(&self.asked))
        };
        name == self.asked || self.matcher.is_match(name) || (name.contains(['*', '?', '[']) && covers(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_path_by_name_and_by_pattern() {
        for (asked, name, found) in [
            ("shop/cart.py", "shop/cart.py", true),
            ("./shop/cart.py", "shop/cart.py", true),
            ("cart.py", "shop/cart.py", true),
            ("cart.py", "cart.py", true),
            ("cart.py", "shop/acart.py", false),
            ("shop/*.py", "shop/cart.py", true),
            ("shop/*.py", "shop/a/cart.py", false),
            ("shop/**", "shop/a/cart.py", true),
            ("*.py", "shop/cart.py", true),
            ("shop/cart.py", "shop/**", true),
            ("shop/cart.py", "docs/**", false),
            ("a[1].py", "a[1].py", true),
        ] {
            assert_eq!(Files::new(asked).unwrap().has(name), found, "{asked} {name}");
        }
        let refused = Files::new("a[").err().unwrap().to_string();
        assert!(refused.starts_with("--file \"a[\": "), "{refused}");
    }
}
