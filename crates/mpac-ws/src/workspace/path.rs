//! Names of shared files, and what never is one. D-092.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use mpac_wire::StateRef;

/// Directories that are not shared: the reference's list.
const IGNORED_DIRS: [&str; 17] = [
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    "node_modules",
    ".venv",
    "venv",
    "env",
    ".idea",
    ".vscode",
    "dist",
    "build",
    ".next",
    ".turbo",
];
/// Files that are not shared: the reference's list.
const IGNORED_FILES: [&str; 3] = [".DS_Store", "Thumbs.db", ".gitignore"];
/// How our own unfinished files begin; one may be left behind by a crash.
pub(crate) const TEMPORARY: &str = ".mpac-tmp-";
/// What stands in the name of a commit that was written beside a file, before [`COPY_DIGITS`] digits of its reference.
const COPY: &str = ".mpac-";
const COPY_DIGITS: usize = 8;

/// Whether a directory of this name is left out, with all it holds.
pub(crate) fn is_ignored_dir(name: &str) -> bool {
    // Hidden ones without case: on some file systems `.GIT` is `.git`, and writing into it would be writing hooks.
    IGNORED_DIRS
        .iter()
        .any(|ignored| *ignored == name || (name.starts_with('.') && ignored.eq_ignore_ascii_case(name)))
}

/// Whether some file system takes this name for `.git`, as git itself asks before it writes: NTFS has short names, streams behind
/// a colon, and leaves out dots and spaces at the end; HFS+ leaves out characters that nobody sees. Nothing is written there.
pub(crate) fn stands_for_git(name: &str) -> bool {
    let is_seen = |c: &char| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let seen: String = name.chars().filter(is_seen).collect();
    let stem = seen.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']).to_ascii_lowercase();
    let is_short = |rest: &str| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_digit());
    stem == ".git" || stem.strip_prefix("git~").is_some_and(is_short)
}

/// Whether a file of this name is left out and nobody expects anything else.
pub(crate) fn is_nobodys(name: &str) -> bool {
    name.starts_with(TEMPORARY) || IGNORED_FILES.contains(&name)
}

/// Whether a file of this name is left out.
pub(crate) fn is_ignored_file(name: &str) -> bool {
    is_nobodys(name) || is_copy(name)
}

/// What is added to the name of a file for the commit that is written beside it.
pub(crate) fn copy_suffix(state_ref: &StateRef) -> String {
    let digits = state_ref.as_str().rsplit(':').next().unwrap_or_default();
    format!("{COPY}{}", digits.get(..COPY_DIGITS).unwrap_or(digits))
}

/// Whether it is a commit beside a file: it waits for somebody to merge the two, and is no file to work on.
pub(crate) fn is_copy(name: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.rsplit_once(COPY).is_some_and(|(of, digits)| {
        !of.is_empty() && digits.len() == COPY_DIGITS && digits.bytes().all(is_digit)
    })
}

/// The shared name of a file below the workspace directory: its components with `/` between them.
///
/// None where it cannot have one: a component that is not UTF-8, or has a backslash in it.
pub(crate) fn shared_name(relative: &Path) -> Option<String> {
    let mut name = String::new();
    for component in relative.components() {
        let Component::Normal(part) = component else { return None };
        let part = part.to_str().filter(|part| !part.contains(['\\', '\0']))?;
        if !name.is_empty() {
            name.push('/');
        }
        name.push_str(part);
    }
    (!name.is_empty()).then_some(name)
}

/// The components of a shared name, if it is relative, normalised and stays below its root. D-063, D-092.
pub(crate) fn components(name: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = name.split('/').collect();
    let sound = |part: &&str| {
        // `Path` knows what else is special here: a drive letter or a prefix on Windows.
        let mut seen = Path::new(part).components();
        !part.contains(['\\', '\0'])
            && matches!((seen.next(), seen.next()), (Some(Component::Normal(_)), None))
    };
    parts.iter().all(sound).then_some(parts)
}

/// The file beside which no directory can hold this one: it stands where a directory would have to be, or below.
pub(crate) fn in_the_way<'a, V>(name: &str, files: &'a BTreeMap<String, V>) -> Option<&'a str> {
    let above = name.match_indices('/').find_map(|(at, _)| files.get_key_value(name.get(..at)?));
    let dir = format!("{name}/");
    let below = || files.range(dir.clone()..).next().filter(|(file, _)| file.starts_with(&dir));
    above.or_else(below).map(|(file, _)| file.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_and_odd_names_have_no_components() {
        for name in ["", ".", "..", "../x", "a/../x", "/x", "a//b", "./a", "a/./b", "a/", "a\\b", "a\0b"] {
            assert_eq!(components(name), None, "{name:?}");
        }
        assert_eq!(components("src/a b/..c.rs"), Some(vec!["src", "a b", "..c.rs"]));
    }

    #[test]
    fn a_shared_name_has_slashes_and_no_oddities() {
        assert_eq!(shared_name(Path::new("src").join("lib.rs").as_path()).as_deref(), Some("src/lib.rs"));
        assert_eq!(shared_name(Path::new("../lib.rs")), None);
        assert_eq!(shared_name(Path::new("")), None);
    }

    #[test]
    fn a_name_is_no_file_and_directory_at_once() {
        let files: BTreeMap<String, ()> = ["a", "b/c", "b.x"].map(|name| (name.to_owned(), ())).into();
        for (name, other) in [("a/x", "a"), ("a/x/y", "a"), ("b", "b/c"), ("b/c/d", "b/c")] {
            assert_eq!(in_the_way(name, &files), Some(other), "{name}");
        }
        for name in ["a", "a.x", "ab/c", "b/d", "c"] {
            assert_eq!(in_the_way(name, &files), None, "{name}");
        }
    }

    #[test]
    fn git_is_known_by_all_its_names() {
        for name in
            [".git", ".GIT", ".git ", ".git..", "git~1", "GIT~2", ".git::$INDEX_ALLOCATION", ".g\u{200c}it"]
        {
            assert!(stands_for_git(name), "{name:?}");
        }
        for name in ["git", ".gitignore", ".github", "git~", "git~10", "git~a", "agit~1", ""] {
            assert!(!stands_for_git(name), "{name:?}");
        }
    }

    #[test]
    fn the_reference_lists_are_left_out_whatever_their_case() {
        assert!(is_ignored_dir("node_modules") && is_ignored_dir(".GIT") && !is_ignored_dir("Build"));
        assert!(is_ignored_file("Thumbs.db") && is_ignored_file(".gitignore") && !is_ignored_file("main.py"));
    }

    #[test]
    fn a_commit_that_was_written_beside_a_file_is_left_out() {
        assert!(is_ignored_file(&format!("a.py{}", copy_suffix(&StateRef::of("hello\n")))));
        for name in
            [".mpac-5891b5b5", "a.mpac-5891b5b", "a.mpac-5891b5b55", "a.mpac-5891B5B5", "a.mpac-words"]
        {
            assert!(!is_ignored_file(name), "{name}");
        }
    }
}
