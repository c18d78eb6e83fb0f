//! Ids the agent makes: readable, and new each time (PAR-24).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use mpac_wire::{IntentId, OpId};

const MAX_SLUG: usize = 40;

/// Makes intent and operation ids for one agent.
#[derive(Debug, Clone)]
pub struct Naming {
    name: String,
    /// Counts on from a random start: within a process the six digits repeat after 16 million ids.
    counter: u64,
}

impl Naming {
    /// For the agent called `name`, starting at a random point.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::starting_at(name, draw())
    }

    fn starting_at(name: &str, counter: u64) -> Self {
        Self { name: slug(name), counter }
    }

    /// `intent-<name>-<words>-<6 hex>`.
    pub fn intent(&mut self, objective: &str) -> IntentId {
        let text = self.next("intent", objective);
        IntentId::new(text).expect("the text begins with `intent-`, so it is not empty")
    }

    /// `op-<name>-<path>-<6 hex>`.
    pub fn operation(&mut self, path: &str) -> OpId {
        let text = self.next("op", path);
        OpId::new(text).expect("the text begins with `op-`, so it is not empty")
    }

    /// `<kind>-<name>-<words>-<6 hex>`, for ids of other kinds.
    pub fn id(&mut self, kind: &str, about: &str) -> String {
        self.next(kind, about)
    }

    fn next(&mut self, kind: &str, about: &str) -> String {
        self.counter = self.counter.wrapping_add(1);
        format!("{kind}-{}-{}-{:06x}", self.name, slug(about), self.counter & 0x00ff_ffff)
    }
}

/// A number that differs from process to process and from call to call. Not for secrets.
#[must_use]
pub fn draw() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Lower-case ASCII letters and digits with single hyphens between them, at most 40; `x` when nothing is left.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars() {
        if slug.len() >= MAX_SLUG {
            break;
        }
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_what_they_are() {
        let mut naming = Naming::starting_at("Bob B.", 0xfe_dcba);
        assert_eq!(naming.operation("src/My File.py").as_str(), "op-bob-b-src-my-file-py-fedcbb");
        assert_eq!(naming.operation("src/My File.py").as_str(), "op-bob-b-src-my-file-py-fedcbc");
        assert_eq!(naming.intent("Fix: the login!").as_str(), "intent-bob-b-fix-the-login-fedcbd");
    }

    #[test]
    fn ids_of_the_same_words_differ() {
        let mut naming = Naming::starting_at("Bob", 0xff_f000);
        let ids: std::collections::BTreeSet<String> =
            (0..10_000).map(|_| naming.operation("a.py").to_string()).collect();
        assert_eq!(ids.len(), 10_000);
        let intents = [naming.intent("mend"), naming.intent("mend")];
        assert_ne!(intents[0], intents[1]);
    }

    #[test]
    fn any_text_makes_an_id_of_bounded_length() {
        let mut naming = Naming::starting_at("日本", u64::MAX);
        assert_eq!(naming.operation("日本").as_str(), "op-x-x-000000");
        assert!(naming.intent(&"long ".repeat(500)).as_str().len() < 128);
    }

    #[test]
    fn two_agents_start_at_different_points() {
        assert_ne!(draw(), draw());
    }
}
