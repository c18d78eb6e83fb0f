//! What stands in files that somebody else writes, read again when they change.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Something that was read from files.
pub(crate) struct Reread<T> {
    paths: Vec<PathBuf>,
    last: Mutex<Last<T>>,
}

struct Last<T> {
    /// When the files were written that it was read from.
    written: Written,
    value: T,
    /// How they were when it was last told that they cannot be read.
    told: Option<Written>,
}

type Written = Vec<Option<SystemTime>>;

impl<T: Clone> Reread<T> {
    /// What `read` finds in these files.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn of<E>(paths: Vec<PathBuf>, read: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        let written = written(&paths);
        let last = Mutex::new(Last { written, value: read()?, told: None });
        Ok(Self { paths, last })
    }

    /// As it is in the files now; while they cannot be read, as it was. `tell` hears that it changed, and of a failure once for
    /// each state of the files.
    ///
    /// A failure is no state to stay in: the next call tries again. Who may read a file can change, and it looks the same.
    pub(crate) fn current<E>(
        &self,
        read: impl FnOnce() -> Result<T, E>,
        tell: impl FnOnce(Result<(), E>),
    ) -> T {
        let written = written(&self.paths);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.written != written {
            match read() {
                Ok(value) => {
                    *last = Last { written, value, told: None };
                    tell(Ok(()));
                }
                Err(error) => {
                    let told = Some(written);
                    if last.told != told {
                        last.told = told;
                        tell(Err(error));
                    }
                }
            }
        }
        last.value.clone()
    }
}

fn written(paths: &[PathBuf]) -> Written {
    paths.iter().map(|path| fs::metadata(path).and_then(|found| found.modified()).ok()).collect()
}

/// What was read may be a secret.
impl<T> fmt::Debug for Reread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread").field("paths", &self.paths).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_could_not_be_read_is_tried_again_until_it_can_be_and_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        let write = |text: &str, at: u64| {
            fs::write(&path, text).unwrap();
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at);
            fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        write("one", 1);
        let files = Reread::of(vec![path.clone()], || fs::read_to_string(&path)).unwrap();
        let told = RefCell::new(Vec::new());
        let current = |read: Result<&'static str, &'static str>| {
            files.current(|| read.map(str::to_owned), |outcome| told.borrow_mut().push(outcome))
        };
        assert_eq!(current(Err("is not read")), "one", "it has not changed");
        write("two", 2);
        for _ in 0..2 {
            assert_eq!(current(Err("permission denied")), "one");
        }
        assert_eq!(current(Ok("two")), "two", "nobody wrote it again");
        assert_eq!(current(Err("is not read")), "two");
        write("three", 3);
        assert_eq!(current(Err("permission denied")), "two");
        let denied = || Err("permission denied");
        assert_eq!(*told.borrow(), [denied(), Ok(()), denied()]);
    }
}
