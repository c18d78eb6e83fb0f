//! Values of options as a person writes them.

use std::path::PathBuf;

use mpac_core::scope::{is_safe, normalize};
use mpac_wire::StateRef;
use mpac_wire::names::{AckType, Decision, HeartbeatStatus, ProviderStatus, Severity};

use crate::agent::Event;

/// A shared file, in its one spelling (SCO-03), as intents and commits name it.
pub(super) fn shared(text: &str) -> Result<String, String> {
    match normalize(text) {
        file if file.is_empty() => Err("name a file, relative to the shared workspace".to_owned()),
        file => Ok(file),
    }
}

/// The same, of a file that can be committed: an intent on another name coordinators take, and refuse every commit under it
/// (OCC-08).
pub(super) fn own_file(text: &str) -> Result<String, String> {
    match shared(text)? {
        file if is_safe(&file) => Ok(file),
        _ => Err(
            "paths are relative to the shared workspace, with `/` and without `..`, as `files` lists them"
                .to_owned(),
        ),
    }
}

/// Words that say something.
pub(super) fn objective(text: &str) -> Result<String, String> {
    match text.trim().is_empty() {
        true => Err("say what you are about to do".to_owned()),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn pair(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((file, local)) if !file.is_empty() && !local.is_empty() => Ok((own_file(file)?, local.into())),
        _ => Err("write it as FILE=LOCAL, as in src/a.py=/tmp/a.py".to_owned()),
    }
}

pub(super) fn state_ref(text: &str) -> Result<StateRef, String> {
    let state_ref = StateRef::new(text);
    match state_ref.has_format("sha256") {
        true => Ok(state_ref),
        false => Err("give it as `cat --json` prints it, sha256: and digits".to_owned()),
    }
}

/// One of the listed words: what is not listed goes over the wire as well, but a person has mistyped it.
pub(super) fn word<T>(text: &str, listed: &[T]) -> Result<T, String>
where
    T: for<'a> From<&'a str> + PartialEq + ToString,
{
    let word = T::from(text);
    if listed.contains(&word) {
        return Ok(word);
    }
    let listed: Vec<String> = listed.iter().map(T::to_string).collect();
    Err(format!("it is one of {}", listed.join(", ")))
}

pub(super) fn ack(text: &str) -> Result<AckType, String> {
    word(text, AckType::LISTED)
}

pub(super) fn decision(text: &str) -> Result<Decision, String> {
    word(text, Decision::LISTED)
}

pub(super) fn severity(text: &str) -> Result<Severity, String> {
    word(text, Severity::LISTED)
}

pub(super) fn activity(text: &str) -> Result<HeartbeatStatus, String> {
    word(text, HeartbeatStatus::LISTED)
}

pub(super) fn provider_status(text: &str) -> Result<ProviderStatus, String> {
    word(text, ProviderStatus::LISTED)
}

/// A kind of event that `watch` can show, by its name in the JSON. What a task has used hears only the process whose task it is.
pub(super) fn kind(text: &str) -> Result<String, String> {
    let shown: Vec<&str> = Event::KINDS.into_iter().filter(|kind| *kind != "used").collect();
    match shown.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!("it is one of {}", shown.join(", "))),
    }
}

/// `provider/model`, as sessions that allow some providers want it (BHM-10).
pub(super) fn model(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((provider, model)) if !provider.is_empty() && !model.is_empty() => Ok(text.to_owned()),
        _ => Err("write it as PROVIDER/MODEL, as in anthropic/claude-sonnet-4-6".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_word_is_answered_with_those_that_there_are() {
        assert_eq!(activity("working"), Ok(HeartbeatStatus::Working));
        let why = activity("busy").unwrap_err();
        assert!(why.starts_with("it is one of idle, working"), "{why}");
        assert_eq!(kind("committed"), Ok("committed".to_owned()));
        let why = kind("commited").unwrap_err();
        assert!(why.starts_with("it is one of joined, left") && why.contains(", committed,"), "{why}");
        let why = kind("used").unwrap_err();
        assert!(!why.contains("used"), "nobody else hears of it: {why}");
    }
}
