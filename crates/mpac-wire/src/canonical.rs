//! JSON in its canonical form (RFC 8785): one text for everything that says the same, so that it can be signed.
//!
//! What that form would blur is refused, never rounded or dropped: whoever reads the message itself, and keeps the last of
//! two members of one name or every digit of a whole number, must find in it what was signed. Of a fraction that is
//! what a double holds: of durations of more than 270 years, two that differ by a microsecond may have one form.

mod number;

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use thiserror::Error;

use crate::scan::{Scanner, quote, unquoted};
pub(crate) use number::Decimal;

/// Levels of nesting that are followed: more than any message may have ([`Limits`](crate::Limits)).
const DEPTH: usize = 160;

/// Why a text has no canonical form that says all that it says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotCanonical {
    /// Not JSON, or a text in it has half of a surrogate pair.
    #[error("not JSON: {problem}")]
    Syntax {
        /// What the parser says.
        problem: String,
    },
    /// Two members of one object have the same name, however it is spelled.
    #[error("the member {name:?} stands there twice")]
    Repeated {
        /// The name.
        name: String,
    },
    /// A number that readers disagree about: it is not what an IEEE 754 double can hold.
    #[error("{text} is not the same number for every reader")]
    Number {
        /// The number, shortened where it is long.
        text: String,
    },
    /// Nested deeper than is followed.
    #[error("nested deeper than {DEPTH} levels")]
    TooDeep,
    /// What is to be signed is an object.
    #[error("expected an object")]
    NoObject,
}

/// The canonical form of a JSON text: no white space, members by name (UTF-16 code units), numbers as ECMAScript writes
/// them, texts with as few escapes as possible.
///
/// # Errors
/// When the text is no JSON or says something that this form cannot: see [`NotCanonical`].
pub fn canonical(text: &str) -> Result<String, NotCanonical> {
    without(text, None)
}

/// The bytes that a signature covers: the canonical form of an envelope without its own member `signature`
/// (`spec/wire.md` §12). Everything else is in it, the watermark and members that nobody knows included (SEC-24).
///
/// # Errors
/// As for [`canonical`]; and when the text is no object.
pub fn signed_bytes(envelope: &str) -> Result<String, NotCanonical> {
    if envelope.bytes().find(|byte| !byte.is_ascii_whitespace()) != Some(b'{') {
        return Err(NotCanonical::NoObject);
    }
    without(envelope, Some("signature"))
}

/// `left_out` is a member of the outermost object.
fn without(text: &str, left_out: Option<&str>) -> Result<String, NotCanonical> {
    // Whatever the scanner meets is JSON: it only has to look at what the grammar allows.
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(text);
    checked.map_err(syntax)?;
    let mut out = String::with_capacity(text.len());
    value(&mut Scanner::new(text), &mut out, DEPTH, left_out)?;
    Ok(out)
}

fn syntax(error: serde_json::Error) -> NotCanonical {
    NotCanonical::Syntax { problem: error.to_string() }
}

fn value(
    scanner: &mut Scanner<'_>,
    out: &mut String,
    depth: usize,
    left_out: Option<&str>,
) -> Result<(), NotCanonical> {
    let depth = depth.checked_sub(1).ok_or(NotCanonical::TooDeep)?;
    match scanner.peek() {
        Some(b'{') => object(scanner, out, depth, left_out),
        Some(b'[') => {
            let mut sign = '[';
            scanner.step();
            while !scanner.ends(b']') {
                out.push(core::mem::replace(&mut sign, ','));
                value(scanner, out, depth, None)?;
            }
            out.push_str(if sign == '[' { "[]" } else { "]" });
            Ok(())
        }
        Some(b'"') => {
            quote(&unquoted(scanner.quoted()).map_err(syntax)?, out);
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => number::write(scanner.word(), out),
        _ => {
            out.push_str(scanner.word());
            Ok(())
        }
    }
}

fn object(
    scanner: &mut Scanner<'_>,
    out: &mut String,
    depth: usize,
    left_out: Option<&str>,
) -> Result<(), NotCanonical> {
    let mut members: Vec<(Cow<'_, str>, String)> = Vec::new();
    scanner.step();
    while !scanner.ends(b'}') {
        let name = unquoted(scanner.quoted()).map_err(syntax)?;
        scanner.step(); // the colon
        let mut text = String::new();
        value(scanner, &mut text, depth, None)?;
        members.push((name, text));
    }
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    if let Some([(name, _), _]) = members.array_windows().find(|[(one, _), (other, _)]| one == other) {
        return Err(NotCanonical::Repeated { name: name.to_string() });
    }
    let mut sign = '{';
    for (name, text) in members.iter().filter(|(name, _)| left_out != Some(&**name)) {
        out.push(core::mem::replace(&mut sign, ','));
        quote(name, out);
        out.push(':');
        out.push_str(text);
    }
    out.push_str(if sign == '{' { "{}" } else { "}" });
    Ok(())
}

#[cfg(test)]
mod tests;
