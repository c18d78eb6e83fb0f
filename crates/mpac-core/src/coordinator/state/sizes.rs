//! How large the files of the workspace are, as far as that is known.

use alloc::collections::BTreeMap;
use alloc::string::String;

/// Bytes by normalised path, and together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sizes {
    by_path: BTreeMap<String, u64>,
    total: u64,
}

impl Sizes {
    /// The file at `path` has so many bytes now.
    pub(crate) fn set(&mut self, path: String, bytes: u64) {
        let before = self.by_path.insert(path, bytes).unwrap_or_default();
        self.total = self.total.saturating_sub(before).saturating_add(bytes);
    }

    /// What they have together.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Bytes at `path`; 0 where nobody has said.
    pub(crate) fn of(&self, path: &str) -> u64 {
        self.by_path.get(path).copied().unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, u64)> {
        self.by_path.iter().map(|(path, bytes)| (path, *bytes))
    }
}

impl Extend<(String, u64)> for Sizes {
    fn extend<I: IntoIterator<Item = (String, u64)>>(&mut self, files: I) {
        files.into_iter().for_each(|(path, bytes)| self.set(path, bytes));
    }
}
