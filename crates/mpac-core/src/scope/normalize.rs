//! One spelling for each path (SCO-03, D-063), and which paths may be written (OCC-08, D-092).

use alloc::borrow::Cow;
use alloc::string::String;

/// `path` in its one spelling: runs of `/` collapsed, every leading `./` dropped, one trailing `/` dropped.
///
/// Nothing else: no `..`, no inner `/./`, no case folding; a leading `/` is significant.
pub fn normalize(path: &str) -> String {
    normalized(path).into_owned()
}

/// The same, borrowed where `path` is in its one spelling already.
pub(crate) fn normalized(path: &str) -> Cow<'_, str> {
    if is_normal(path) {
        return path.into();
    }
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    let mut rest = out.as_str();
    while let Some(tail) = rest.strip_prefix("./") {
        rest = tail;
    }
    if rest.len() > 1 {
        rest = rest.strip_suffix('/').unwrap_or(rest);
    }
    Cow::Owned(rest.into())
}

/// Whether a path is in its one spelling, as nearly every path is. Some others that are, too, count as if they were not.
pub(super) fn is_normal(path: &str) -> bool {
    let bytes = path.as_bytes();
    // All pairs, found or not: that is done sixteen at a time.
    let doubled = bytes.windows(2).fold(false, |found, pair| found | (pair == b"//"));
    !bytes.starts_with(b"./") && !bytes.ends_with(b"/") && !doubled
}

/// Whether `path`, in whatever spelling, is the file of this normalised path. Nearly every path is in its one spelling
/// already, and then nothing is allocated.
pub fn same_path(path: &str, normal: &str) -> bool {
    if path == normal {
        return true;
    }
    // Another spelling is longer.
    path.len() > normal.len() && !is_normal(path) && normalize(path) == normal
}

/// Whether a normalised path stays inside a workspace on every platform: relative, no `..`, no NUL, no backslash.
pub fn is_safe(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains(['\0', '\\'])
        && path.split('/').all(|segment| segment != ".." && segment != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_spelling() {
        for (path, normal) in [
            ("a", "a"),
            ("./a", "a"),
            ("././a", "a"),
            (".//a", "a"),
            ("a/", "a"),
            ("a//", "a"),
            ("/a", "/a"),
            ("//a", "/a"),
            ("a/./b", "a/./b"),
            ("A", "A"),
            ("./", ""),
            ("/", "/"),
            ("a/../b", "a/../b"),
            ("", ""),
        ] {
            assert_eq!(normalize(path), normal, "{path:?}");
            assert_eq!(normalize(normal), normal, "{path:?}: once is enough");
        }
    }

    #[test]
    fn a_safe_path_leads_nowhere_else() {
        for path in ["a", "a/b.py", "..a/b..", "é"] {
            assert!(is_safe(path), "{path:?}");
        }
        for path in ["", "..", "../a", "a/../b", "/a", "a\\b", "a\0b", "a/..", ".", "a/./b"] {
            assert!(!is_safe(path), "{path:?}");
        }
    }
}
