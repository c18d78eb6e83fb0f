//! The keys in their file: read again when it changes, changed whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::sleep;
use tracing::warn;

use super::keys::Keys;
use crate::cli::Settings;
use crate::error::Error;
use crate::store::{self, owner, place};

/// What the top of the file says to whoever opens it.
const HEAD: &str = "# The keys that mpac-ws issued: hashes, no secrets. Change it with `mpac-ws token`; it is read again when it changes.\n\n";

/// Between two looks for those who are in by a key: a revoked one is noticed after that.
const LOOK: Duration = Duration::from_secs(2);

/// A file of keys.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    /// As last read, and what the file looked like then.
    last: Mutex<Option<(Looks, Arc<Keys>)>>,
    /// How it looked when the operator was last told that it cannot be read.
    told: Mutex<Option<Looks>>,
}

/// Enough to see that a file is another one.
type Looks = Option<(SystemTime, u64)>;

/// The keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("keys {}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("keys {}: {reason}", .path.display())]
    Form { path: PathBuf, reason: String },
    #[error("keys {}: the file is gone; put it back (an empty one ends all keys)", .path.display())]
    Gone { path: PathBuf },
}

/// Where the keys of a server with these settings are.
///
/// # Errors
/// When the system names no place for them.
pub(crate) fn path(settings: &Settings) -> Result<PathBuf, Error> {
    match &settings.security.keys {
        Some(path) => Ok(path.clone()),
        None => Ok(in_dir(&place::found(
            settings.data_dir.as_deref(),
            settings.workspace.as_deref(),
            settings.port,
        )?)),
    }
}

/// The keys of a server that has its data there.
pub(crate) fn in_dir(data: &Path) -> PathBuf {
    data.join("keys.toml")
}

impl KeyFile {
    /// At `path`, where there need not be one yet.
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path, last: Mutex::new(None), told: Mutex::new(None) }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says now; a file that is not there holds no key.
    pub(crate) fn read(&self) -> Result<Arc<Keys>, KeyFileError> {
        let looks = self.looks().map_err(|source| self.io(source))?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, keys)) = &*last
            && *before == looks
        {
            return Ok(Arc::clone(keys));
        }
        if looks.is_none() && matches!(&*last, Some((Some(_), _))) {
            // Moved away by mistake, or for a moment by an editor: that is to put nobody out.
            return Err(KeyFileError::Gone { path: self.path.clone() });
        }
        let keys = Arc::new(self.parse()?);
        *last = Some((looks, Arc::clone(&keys)));
        Ok(keys)
    }

    /// As [`read`](Self::read); where it cannot be read the operator is told, once for each state of the file.
    pub(super) fn usable(&self) -> Option<Arc<Keys>> {
        let why = match self.read() {
            Ok(keys) => return Some(keys),
            Err(why) => why,
        };
        let looks = self.looks().unwrap_or_default();
        let before = self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(looks);
        if before != Some(looks) {
            warn!("{why}; until it is mended nobody comes in by a key, and nobody is put out");
        }
        None
    }

    /// What it said when it could be read last.
    pub(super) fn last(&self) -> Option<Arc<Keys>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, keys)| Arc::clone(keys))
    }

    /// Returns when other keys count than now, or none because it cannot be read, or some because it can be again.
    pub(super) async fn changed(&self) {
        let before = self.usable();
        // What is held here lies where nothing else can.
        while self.usable().as_ref().map(Arc::as_ptr) == before.as_ref().map(Arc::as_ptr) {
            sleep(LOOK).await;
        }
    }

    /// Changes it, alone among all processes that do. It stays with whom it was: a server that could not read it any more would
    /// let those stay whom the change puts out.
    ///
    /// # Errors
    /// When it cannot be read, locked or written; then it is as it was.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut Keys) -> T) -> Result<T, KeyFileError> {
        let failed = |source| self.io(source);
        let parent = self.path.parent().filter(|dir| !dir.as_os_str().is_empty());
        if let Some(dir) = parent {
            // Made like the data directory that it is, when the first key is made before the first start.
            store::private_dirs().create(dir).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        // Whoever has the directory may replace the file, whose ever that is, and so has to get at the lock.
        let lock = owner::open(&options, &self.path.with_extension("lock"), self.dir()).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut keys = self.parse()?;
        let before = keys.clone();
        let outcome = change(&mut keys);
        if keys != before {
            self.write(&keys)?;
        }
        Ok(outcome)
    }

    fn write(&self, keys: &Keys) -> Result<(), KeyFileError> {
        let text = toml::to_string(keys)
            .map_err(|error| KeyFileError::Form { path: self.path.clone(), reason: error.to_string() })?;
        let dir = self.dir();
        let put = || {
            // Such files can be read by their owner only.
            let mut file = tempfile::NamedTempFile::new_in(dir)?;
            owner::give(file.as_file(), self.like())?;
            write!(file, "{HEAD}{text}")?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            store::media::sync_dir(dir)
        };
        put().map_err(|source| self.io(source))
    }

    fn dir(&self) -> &Path {
        self.path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
    }

    /// What belongs to whoever it is for.
    fn like(&self) -> &Path {
        if self.path.exists() { &self.path } else { self.dir() }
    }

    fn parse(&self) -> Result<Keys, KeyFileError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Keys::default()),
            Err(source) => return Err(self.io(source)),
        };
        toml::from_str(&text).map_err(|error| {
            let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
            let at = error.span().map(|span| format!("line {}: ", line(span.start))).unwrap_or_default();
            let reason = format!("{at}{}; mend it, or put a copy back", error.message());
            KeyFileError::Form { path: self.path.clone(), reason }
        })
    }

    fn looks(&self) -> io::Result<Looks> {
        match fs::metadata(&self.path) {
            Ok(found) => Ok(Some((found.modified()?, found.len()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn io(&self, source: io::Error) -> KeyFileError {
        KeyFileError::Io { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use mpac_wire::names::CredentialType;
    use mpac_wire::{PrincipalId, Timestamp};

    use super::*;
    use crate::identity::keys::Grant;

    fn issue(file: &KeyFile) -> String {
        try_issue(file).unwrap()
    }

    fn try_issue(file: &KeyFile) -> Result<String, KeyFileError> {
        let principal = PrincipalId::new("agent:bob").unwrap();
        let (sessions, roles, lifetime) = (None, None, None);
        let grant =
            Grant { principal, method: CredentialType::ApiKey, sessions, roles, lifetime, invite: false };
        file.edit(|keys| keys.issue(grant, Timestamp::from_micros(0)).unwrap().0.id)
    }

    fn ids(file: &KeyFile) -> Vec<String> {
        file.read().unwrap().iter().map(|key| key.id.clone()).collect()
    }

    #[test]
    fn a_change_by_one_process_is_seen_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let [server, command] = [0, 1].map(|_| KeyFile::at(dir.path().join("keys.toml")));
        assert!(ids(&server).is_empty(), "no file, no key");
        let first = issue(&command);
        assert_eq!(ids(&server), std::slice::from_ref(&first));
        let second = issue(&command);
        assert_eq!(ids(&server), [first, second]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&server.path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "nobody else may read it");
        }
    }

    /// Where the tests run as somebody else there is nothing to see.
    #[test]
    #[cfg(unix)]
    fn what_root_changes_stays_with_whom_it_was() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(4001), Some(4002)).unwrap();
        let file = KeyFile::at(dir.path().join("keys.toml"));
        let looks = |name: &str| {
            let it = fs::metadata(dir.path().join(name)).unwrap();
            (it.uid(), it.gid(), it.mode() & 0o777)
        };
        issue(&file);
        assert_eq!(looks("keys.toml"), (4001, 4002, 0o600));
        assert_eq!((looks("keys.lock").0, looks("keys.lock").1), (4001, 4002));
        // An operator may have said who can read it.
        chown(&file.path, Some(0), Some(4003)).unwrap();
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
        issue(&file);
        fs::remove_file(dir.path().join("keys.lock")).unwrap();
        issue(&file);
        assert_eq!(looks("keys.toml"), (0, 4003, 0o640));
        assert_eq!((looks("keys.lock").0, looks("keys.lock").1), (4001, 4002), "the server changes it, too");
        // A lock that is there may lead anywhere.
        let aside = dir.path().join("aside");
        fs::write(&aside, "").unwrap();
        fs::remove_file(dir.path().join("keys.lock")).unwrap();
        std::os::unix::fs::symlink(&aside, dir.path().join("keys.lock")).unwrap();
        issue(&file);
        assert_eq!(looks("aside").0, 0, "nobody is given what was not made for them");
    }

    /// Does something as this user in these groups, which is what root can.
    #[cfg(target_os = "linux")]
    fn by<T: Send>(uid: u32, groups: &[u32], act: impl FnOnce() -> T + Send) -> T {
        use rustix::thread::{Gid, Uid, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

        let act = || {
            let (user, own) = (Uid::from_raw(uid), Gid::from_raw(uid));
            let groups: Vec<Gid> = groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
            set_thread_groups(&groups).unwrap();
            set_thread_res_gid(own, own, own).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(act).join().unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn whoever_could_read_it_can_read_what_anybody_changes_or_it_stays_as_it_was() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (admin, server, members) = (4001, 4002, 4003);
        let file = KeyFile::at(dir.path().join("keys.toml"));
        let looks = || {
            let it = fs::metadata(&file.path).unwrap();
            (it.uid(), it.gid(), it.mode() & 0o777)
        };
        let belongs = |dir_to: u32, (uid, gid): (u32, u32)| {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o770)).unwrap();
            chown(dir.path(), Some(dir_to), Some(members)).unwrap();
            fs::write(&file.path, "").unwrap();
            fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
            chown(&file.path, Some(uid), Some(gid)).unwrap();
            // As the next of them makes it.
            let _ = fs::remove_file(dir.path().join("keys.lock"));
        };
        let refused = |uid: u32, groups: &[u32]| {
            let before = looks();
            let told = by(uid, groups, || try_issue(&file).unwrap_err().to_string());
            assert!(told.contains("run this as that user, in that group"), "{told}");
            assert_eq!((looks(), fs::read_to_string(&file.path).unwrap().as_str()), (before, ""));
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "it and its lock");
        };
        belongs(admin, (admin, server));
        by(admin, &[server], || issue(&file));
        assert_eq!(looks(), (admin, server, 0o640), "the server reads it by its group");
        belongs(admin, (admin, server));
        refused(admin, &[]);
        belongs(server, (server, members));
        refused(admin, &[members]);
        // A server in its own directory, when somebody shows an invitation.
        belongs(server, (admin, server));
        by(server, &[], || issue(&file));
        assert_eq!(looks().0, server);
    }

    #[test]
    fn a_file_that_is_moved_away_ends_nothing_and_an_empty_one_ends_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::at(dir.path().join("keys.toml"));
        let id = issue(&file);
        assert_eq!(ids(&file), std::slice::from_ref(&id));
        let aside = dir.path().join("aside");
        fs::rename(&file.path, &aside).unwrap();
        let told = file.read().unwrap_err().to_string();
        assert!(told.contains("the file is gone; put it back"), "{told}");
        assert!(file.usable().is_none());
        assert_eq!(file.last().unwrap().iter().next().unwrap().id, id, "what it said is not forgotten");
        fs::rename(&aside, &file.path).unwrap();
        assert_eq!(ids(&file), [id]);
        fs::write(&file.path, "").unwrap();
        assert!(ids(&file).is_empty());
        fs::write(&file.path, "\n[[").unwrap();
        let told = file.read().unwrap_err().to_string();
        assert!(told.contains("line 2: ") && told.contains("mend it"), "{told}");
    }

    #[test]
    fn changes_at_the_same_time_all_count() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| issue(&KeyFile::at(dir.path().join("keys.toml"))));
            }
        });
        assert_eq!(ids(&KeyFile::at(dir.path().join("keys.toml"))).len(), 8);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::at(dir.path().join("keys.toml"));
        for text in ["[[key]]\nid = 7", "x = 1", "[[key]"] {
            fs::write(&file.path, text).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("keys.toml") && !error.contains('\n'), "{error}");
            assert!(file.edit(|keys| keys.revoke("x", Timestamp::from_micros(0))).is_err());
            assert_eq!(fs::read_to_string(&file.path).unwrap(), text);
        }
    }
}
