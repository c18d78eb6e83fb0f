//! Patterns: a path that both match proves that they meet, and a matcher that tries everything says what matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mpac_core::scope::glob::{intersects, literal_beginning, matches};

/// Few characters, so that things meet.
const ALPHABET: [char; 8] = ['a', 'b', '/', '*', '?', '.', 'é', '/'];
/// Longer ones take the slow matcher too long.
const LONGEST: usize = 14;

fuzz_target!(|bytes: &[u8]| {
    // Two patterns and a path, between line ends.
    let mut parts = bytes.split(|byte| *byte == b'\n').chain([&[][..]; 3]).map(text);
    let (Some(a), Some(b), Some(path)) = (parts.next(), parts.next(), parts.next()) else { return };
    let path = path.replace(['*', '?'], "a");
    for pattern in [&a, &b] {
        let fits = matches(pattern, &path);
        assert_eq!(fits, slow(pattern, &path), "{pattern:?} and {path:?}");
        assert_eq!(fits, intersects(pattern, &path), "a path is a pattern: {pattern:?} and {path:?}");
        if fits {
            assert!(path.starts_with(literal_beginning(pattern)), "{pattern:?} and {path:?}");
        }
        assert!(intersects(pattern, pattern) || pattern.is_empty(), "{pattern:?} and itself");
    }
    assert_eq!(intersects(&a, &b), intersects(&b, &a), "{a:?} and {b:?}");
    if matches(&a, &path) && matches(&b, &path) {
        assert!(intersects(&a, &b), "{a:?} and {b:?} meet in {path:?}");
    }
});

fn text(bytes: &[u8]) -> String {
    bytes.iter().take(LONGEST).map(|byte| ALPHABET[usize::from(*byte) % ALPHABET.len()]).collect()
}

/// D-065 word for word: every way in which the segments can be told apart is tried.
fn slow(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    segments(&pattern, &path)
}

fn segments(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|taken| segments(rest, &path[taken..])),
        Some((first, rest)) => path.split_first().is_some_and(|(segment, others)| {
            let (first, segment): (Vec<char>, Vec<char>) =
                (first.chars().collect(), segment.chars().collect());
            characters(&first, &segment) && segments(rest, others)
        }),
    }
}

fn characters(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|taken| characters(rest, &text[taken..])),
        Some((first, rest)) => text.split_first().is_some_and(|(character, others)| {
            (*first == '?' || first == character) && characters(rest, others)
        }),
    }
}
