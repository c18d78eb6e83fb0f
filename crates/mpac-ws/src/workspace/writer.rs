//! The task that writes commits back, so that a slow disk never holds up a session.
//!
//! A file that changes again before it was written is written once, with the newer content: what waits is bounded by the
//! number of files, not of commits. What cannot be written is tried again with the next commit, and once more at the end.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{debug, error, warn};

use super::File;
use super::write_back::{Mirror, Outcome};
use crate::error::Unwritten;

/// Hands commits to the task; [`Writer::finish`] waits for the last of them.
#[derive(Debug)]
pub(crate) struct Writer {
    waiting: Arc<Waiting>,
    task: JoinHandle<Vec<Unwritten>>,
}

#[derive(Debug, Default)]
struct Waiting {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, File>,
    last: bool,
}

impl Writer {
    pub(crate) fn start(mirror: Mirror) -> Self {
        let waiting = Arc::new(Waiting::default());
        let task = tokio::spawn(run(mirror, Arc::clone(&waiting)));
        Self { waiting, task }
    }

    pub(crate) fn put(&self, path: &str, file: File) {
        self.waiting.with(|state| state.files.insert(path.to_owned(), file));
    }

    /// Writes what still waits and stops; gives what could not be written.
    pub(crate) async fn finish(self) -> Vec<Unwritten> {
        self.waiting.with(|state| state.last = true);
        self.task.await.unwrap_or_else(|error| vec![stopped_early(&error)])
    }
}

impl Waiting {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) {
        // Nothing that can panic runs under this lock, so a poisoned state is still a whole one.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    fn take(&self) -> (BTreeMap<String, File>, bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (mem::take(&mut state.files), state.last)
    }
}

/// What was tried and failed, with what was logged of it.
type Failed = BTreeMap<String, (File, Unwritten)>;

async fn run(mut mirror: Mirror, waiting: Arc<Waiting>) -> Vec<Unwritten> {
    let mut failed = Failed::new();
    loop {
        let (mut files, last) = waiting.take();
        if files.is_empty() && !last {
            waiting.changed.notified().await;
            continue;
        }
        for (path, (file, _)) in &failed {
            files.entry(path.clone()).or_insert_with(|| file.clone());
        }
        let written = spawn_blocking(move || {
            for (path, file) in files {
                write(&mut mirror, path, file, &mut failed);
            }
            (mirror, failed)
        });
        match written.await {
            Ok(back) => (mirror, failed) = back,
            Err(error) => return vec![stopped_early(&error)],
        }
        // Nothing is put after the last, and what was put before it has been taken with it.
        if last {
            return failed.into_values().map(|(_, unwritten)| unwritten).collect();
        }
    }
}

fn write(mirror: &mut Mirror, path: String, file: File, failed: &mut Failed) {
    let before = failed.remove(&path);
    match mirror.write(&path, &file) {
        Ok(Outcome::Written) => debug!("wrote {path:?} {}", file.state_ref),
        Ok(Outcome::Back) => {
            warn!(
                "{path:?} was deleted in the directory meanwhile and is back with a commit: sessions delete no files"
            );
        }
        Ok(Outcome::KeptTheirs { beside }) => warn!(
            "{path:?} is not as the session knew it, because somebody changed or made it in the directory. It is kept, and the \
             commit was written beside it as {beside:?}: merge the two by hand, then restart the server, which does not look \
             before that. A file that is not shared, because it is ignored, no text or too large, does not count then either: put \
             the commit in its place, or delete it"
        ),
        Err(refused) => {
            let unwritten = Unwritten::new(path.clone(), &refused);
            let reason = &unwritten.reason;
            // A retry that fails like the try before is no news.
            if before.is_none_or(|(tried, said)| tried.state_ref != file.state_ref || said.reason != *reason)
            {
                if unwritten.for_good {
                    error!(
                        "{path:?} was committed and stays out of the directory: {reason}; commit it under another name"
                    );
                } else {
                    error!("{path:?} was committed but not written, and will be tried again: {reason}");
                }
            }
            failed.insert(path, (file, unwritten));
        }
    }
}

/// A bug of ours; which files it left unwritten is not known.
fn stopped_early(error: &tokio::task::JoinError) -> Unwritten {
    error!("write-back stopped: {error}");
    Unwritten { path: "*".to_owned(), reason: format!("internal fault: {error}"), for_good: false }
}

#[cfg(test)]
mod tests {
    use super::super::load::{Limits, Progress, load};
    use super::*;
    use crate::stderr::tests::told;

    fn writer(dir: &tempfile::TempDir) -> Writer {
        let (workspace, _) = load(dir.path(), &Limits::default(), &Progress::default()).unwrap();
        Writer::start(Mirror::of(&workspace).unwrap())
    }

    #[tokio::test]
    async fn everything_that_was_put_is_on_disk_after_finish() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.py"), "0").unwrap();
        let writer = writer(&dir);
        for content in ["1", "2", "3"] {
            writer.put("a.py", File::new(content.into()));
        }
        writer.put("../escape.py", File::new("x".into()));
        writer.put("new/b.py", File::new("b".into()));
        let unwritten = writer.finish().await;
        assert_eq!(std::fs::read_to_string(dir.path().join("a.py")).unwrap(), "3");
        assert_eq!(std::fs::read_to_string(dir.path().join("new/b.py")).unwrap(), "b");
        assert!(!dir.path().parent().unwrap().join("escape.py").exists());
        let reason = "the path leads out of the workspace".to_owned();
        assert_eq!(unwritten, [Unwritten { path: "../escape.py".to_owned(), reason, for_good: true }]);
    }

    /// Ends when `path` is written; a test that waits for ever has failed.
    async fn written(path: &std::path::Path) {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    }

    /// A writer that has failed with `d/a.py`: a file stands where its directory has to be.
    async fn blocked(dir: &tempfile::TempDir) -> Writer {
        let writer = writer(dir);
        std::fs::write(dir.path().join("d"), "in the way").unwrap();
        writer.put("d/a.py", File::new("a".into()));
        writer.put("z.py", File::new("z".into()));
        // Written after `d/a.py` was tried: names are taken in order.
        written(&dir.path().join("z.py")).await;
        writer
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_tried_again_with_the_next_commit() {
        let dir = tempfile::tempdir().unwrap();
        let writer = blocked(&dir).await;
        std::fs::remove_file(dir.path().join("d")).unwrap();
        writer.put("e.py", File::new("e".into()));
        written(&dir.path().join("e.py")).await;
        assert_eq!(std::fs::read_to_string(dir.path().join("d/a.py")).unwrap(), "a");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_tried_a_last_time_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let writer = blocked(&dir).await;
        std::fs::remove_file(dir.path().join("d")).unwrap();
        assert_eq!(writer.finish().await, []);
        assert_eq!(std::fs::read_to_string(dir.path().join("d/a.py")).unwrap(), "a");
    }

    #[tokio::test]
    async fn what_can_never_be_written_is_named_at_the_end_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let unwritten = blocked(&dir).await.finish().await;
        assert_eq!(unwritten.len(), 1);
        assert_eq!(unwritten[0].path, "d/a.py");
        assert!(unwritten[0].reason.ends_with("d\" is no directory"), "{unwritten:?}");
    }

    #[test]
    fn what_helps_where_the_file_that_is_kept_is_never_shared_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".gitignore"), "*.gen").unwrap();
        std::fs::write(dir.path().join("x.gen"), "by hand").unwrap();
        let restart = || {
            let (workspace, _) = load(dir.path(), &Limits::default(), &Progress::default()).unwrap();
            let mut mirror = Mirror::of(&workspace).unwrap();
            let (path, file) = ("x.gen".to_owned(), File::new("ours".into()));
            told(|| write(&mut mirror, path, file, &mut Failed::new()))
        };
        for _ in 0..2 {
            let told = restart();
            assert!(told.contains("put the commit in its place, or delete it"), "{told}");
        }
        std::fs::remove_file(dir.path().join("x.gen")).unwrap();
        assert_eq!(restart().lines().filter(|line| line.contains("WARN")).count(), 0);
        assert_eq!(std::fs::read_to_string(dir.path().join("x.gen")).unwrap(), "ours");
        assert_eq!(restart().lines().filter(|line| line.contains("WARN")).count(), 0, "nor at a later start");
    }

    #[test]
    fn what_becomes_of_a_file_is_one_line_whatever_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let name = "x\n2026-11-30T20:00:00.000000Z  INFO session closed\x1b[1m";
        std::fs::write(dir.path().join(name), "loaded").unwrap();
        std::fs::write(dir.path().join("d\nd"), "in the way").unwrap();
        let (workspace, _) = load(dir.path(), &Limits::default(), &Progress::default()).unwrap();
        let mut mirror = Mirror::of(&workspace).unwrap();
        std::fs::write(dir.path().join(name), "by hand").unwrap();
        for path in [name.to_owned(), format!("build/{name}"), "d\nd/a.py".to_owned()] {
            let told = told(|| write(&mut mirror, path, File::new("ours".into()), &mut Failed::new()));
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
