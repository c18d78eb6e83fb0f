//! Reading the command line, with a tip where the address stands in a place that looks right.

use std::ffi::OsString;

use clap::Parser as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::Program;

/// What the command line says.
///
/// # Errors
/// Where it cannot be read, or asks for help; clap's error says it.
pub fn parse(words: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Program, Error> {
    Program::try_parse_from(words).map_err(with_tip)
}

/// The agent takes the address as it is, a verb does not.
fn with_tip(mut error: Error) -> Error {
    let is_address = |word: &str| word.starts_with("ws://") || word.starts_with("wss://");
    let tip = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) if is_address(word) => {
            format!("a verb takes the address by name: --url {word}, or MPAC_URL={word} in the environment")
        }
        _ => return error,
    };
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_the_wrong_place_is_told_its_name() {
        let refused = |words: &[&str]| parse(words).unwrap_err().to_string();
        let told = refused(&["mpac-agent", "who", "wss://h:8766", "--name", "Bob"]);
        assert!(told.contains("--url wss://h:8766"), "{told}");
        assert!(!refused(&["mpac-agent", "who", "else"]).contains("--url"));
    }
}
