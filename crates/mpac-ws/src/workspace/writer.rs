//! The task that writes commits back, so that a slow disk never holds up a session.
//!
//! A file that changes again before it was written is written once, with the newer content: what waits is bounded by the
//! number of files, not of commits.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::{debug, error, warn};

use super::File;
use super::write_back::{Mirror, Outcome};

/// Hands commits to the task; [`Writer::finish`] waits for the last of them.
#[derive(Debug)]
pub(crate) struct Writer {
    waiting: Arc<Waiting>,
    task: JoinHandle<()>,
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

    /// Writes what still waits and stops.
    pub(crate) async fn finish(self) {
        self.waiting.with(|state| state.last = true);
        if let Err(error) = self.task.await {
            error!("write-back stopped early: {error}");
        }
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

async fn run(mut mirror: Mirror, waiting: Arc<Waiting>) {
    loop {
        let (files, last) = waiting.take();
        if files.is_empty() {
            if last {
                return;
            }
            waiting.changed.notified().await;
            continue;
        }
        let written = spawn_blocking(move || {
            for (path, file) in &files {
                write(&mut mirror, path, file);
            }
            mirror
        });
        match written.await {
            Ok(back) => mirror = back,
            Err(error) => return error!("write-back stopped: {error}"),
        }
    }
}

fn write(mirror: &mut Mirror, path: &str, file: &File) {
    match mirror.write(path, file) {
        Ok(Outcome::Written) => debug!("wrote {path} {}", file.state_ref),
        Ok(Outcome::KeptTheirs { beside }) => warn!(
            "{path} was changed in the directory meanwhile and is kept; the commit was written beside it as {beside}: merge \
             the two by hand"
        ),
        Err(refused) => error!("{path} was committed but not written: {refused}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::load;
    use super::*;

    #[tokio::test]
    async fn everything_that_was_put_is_on_disk_after_finish() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.py"), "0").unwrap();
        let (workspace, _) = load(dir.path(), 1_048_576).unwrap();
        let writer = Writer::start(Mirror::of(&workspace).unwrap());
        for content in ["1", "2", "3"] {
            writer.put("a.py", File::new(content.into()));
        }
        writer.put("../escape.py", File::new("x".into()));
        writer.put("new/b.py", File::new("b".into()));
        writer.finish().await;
        assert_eq!(std::fs::read_to_string(dir.path().join("a.py")).unwrap(), "3");
        assert_eq!(std::fs::read_to_string(dir.path().join("new/b.py")).unwrap(), "b");
        assert!(!dir.path().parent().unwrap().join("escape.py").exists());
    }
}
