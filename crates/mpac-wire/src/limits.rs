//! What a frame may cost, checked in one scan before anything is allocated for it (D-134, ENV-18).

use alloc::borrow::ToOwned;
use alloc::string::String;

use crate::error::DecodeError;

/// Bounds for one frame. The defaults are those of D-134.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one frame: 1,048,576.
    pub max_bytes: usize,
    /// Levels of nesting: 128.
    pub max_depth: usize,
    /// Entries of any one list or object: 10,000.
    pub max_entries: usize,
    /// Bytes of a scope's pattern: 512. Comparing two costs the product of their lengths.
    pub max_pattern_bytes: usize,
    /// Bytes of one entry of a scope: 4,096.
    pub max_entry_bytes: usize,
    /// Entries of a batch: 1,000.
    pub max_batch: usize,
    /// Intents and principals that one deferral waits for: 200. Each is looked up when one of them is over.
    pub max_observed: usize,
    /// Roles that one HELLO asks for, and capabilities that it lists: 256 each. A member's roles are looked through
    /// whenever somebody with authority is needed.
    pub max_declared: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 1_048_576,
            max_depth: 128,
            max_entries: 10_000,
            max_pattern_bytes: 512,
            max_entry_bytes: 4_096,
            max_batch: 1_000,
            max_observed: 200,
            max_declared: 256,
        }
    }
}

/// One open bracket.
#[derive(Clone, Copy, Default)]
struct Level {
    commas: usize,
    /// Where the text of the key it stands under begins and ends.
    key: (usize, usize),
}

impl Limits {
    /// Checks size, depth and list lengths of `text`, JSON or not, in one pass.
    ///
    /// # Errors
    /// The first limit that is exceeded.
    pub fn check(&self, text: &str) -> Result<(), DecodeError> {
        if text.len() > self.max_bytes {
            return Err(DecodeError::TooLarge { bytes: text.len(), max: self.max_bytes });
        }
        if self.cannot_exceed(text.as_bytes()) {
            return Ok(());
        }
        // One allocation of a fixed size, whatever the text holds.
        let mut levels = alloc::vec![Level::default(); self.max_depth + 1];
        let mut depth = 0;
        let mut key = (0, 0);
        let mut last_string = (0, 0);
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(bytes, at + 1);
                    last_string = (at + 1, end);
                    at = end;
                }
                b':' => key = last_string,
                b'{' | b'[' => {
                    depth += 1;
                    let Some(level) = levels.get_mut(depth) else {
                        return Err(DecodeError::TooDeep { max: self.max_depth });
                    };
                    *level = Level { commas: 0, key };
                    key = (0, 0);
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    key = (0, 0);
                }
                b',' => {
                    key = (0, 0);
                    if let Some(level) = levels.get_mut(depth) {
                        level.commas += 1;
                        if level.commas >= self.max_entries {
                            return Err(DecodeError::TooMany {
                                key: name(text, level.key),
                                max: self.max_entries,
                            });
                        }
                    }
                }
                _ => {}
            }
            at += 1;
        }
        Ok(())
    }
}

impl Limits {
    /// Nearly every frame is so small that it need not be looked into: it opens no more brackets than levels are allowed,
    /// and has no room for as many commas as it takes for a list that is too long.
    fn cannot_exceed(&self, text: &[u8]) -> bool {
        text.len() < self.max_entries && opening_brackets(text) <= self.max_depth
    }
}

/// How many `[` and `{` there are, in strings or not. Summed up in small parts, which the compiler turns into a few
/// instructions for 16 bytes.
fn opening_brackets(text: &[u8]) -> usize {
    const PART: usize = 128;
    // The two differ in one bit, and nothing else becomes one of them by it.
    let in_part = |part: &[u8]| part.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    text.chunks(PART).map(|part| usize::from(in_part(part))).sum()
}

fn name(text: &str, (start, end): (usize, usize)) -> String {
    match text.get(start..end) {
        Some(key) if !key.is_empty() => key.to_owned(),
        _ => String::from("list"),
    }
}

/// Where the string whose text begins at `at` has its closing quote (or the text ends).
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn depth_is_counted_outside_strings_only() {
        let limits = Limits { max_depth: 2, ..Limits::default() };
        assert_eq!(limits.check(r#"{"a":["[[[[\"[["]}"#), Ok(()));
        assert_eq!(limits.check(r#"{"a":[[1]]}"#), Err(DecodeError::TooDeep { max: 2 }));
    }

    #[test]
    fn a_hundred_and_twenty_eight_levels_are_let_through() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(Limits::default().check(&nested(128)), Ok(()));
        assert_eq!(Limits::default().check(&nested(129)), Err(DecodeError::TooDeep { max: 128 }));
    }

    #[test]
    fn long_lists_are_named_by_their_key() {
        let limits = Limits { max_entries: 3, ..Limits::default() };
        assert_eq!(limits.check(r#"{"resources":["a","b","c"]}"#), Ok(()));
        let error = limits.check(r#"{"resources":["a","b","c","d"]}"#).unwrap_err();
        assert_eq!(error, DecodeError::TooMany { key: "resources".into(), max: 3 });
    }

    /// A text that is let through at once is one that the scan lets through.
    #[test]
    fn a_small_text_exceeds_nothing() {
        let limits = Limits { max_depth: 3, max_entries: 12, ..Limits::default() };
        for text in ["[[[1]]]", "[1,2,3,4,5]", "{\"a\":[]}"] {
            assert!(limits.cannot_exceed(text.as_bytes()) && limits.check(text).is_ok(), "{text}");
        }
        for text in ["[[[[1]]]]", "[[],[],[]]", "[1,2,3,4,5,6,7,8,9,10,11,12]", "\"a long text\""] {
            assert!(!limits.cannot_exceed(text.as_bytes()), "{text}");
        }
        assert!(limits.check("[[],[],[]]").is_ok());
    }

    #[test]
    fn text_that_is_not_json_ends_somewhere() {
        for text in ["", "\"", "\"\\", "]]]]", "{", "::::,,,,", "\u{1F600}\"é"] {
            assert_eq!(Limits::default().check(text), Ok(()), "{text:?}");
        }
        let limits = Limits { max_bytes: 3, ..Limits::default() };
        let error = limits.check("1234").unwrap_err();
        assert_eq!(format!("{error}"), "the frame has 4 bytes, more than the 3 allowed");
    }
}
