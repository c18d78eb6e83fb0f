//! The data directory of another server, as far as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use mpac_wire::StateRef;
use tracing::{error, info, warn};

use super::replica::{Failed, Replica};
use super::{Has, Place, Table};
use crate::store::base::Base;
use crate::store::{self, identity};

/// From so many entries on, a session that begins is fetched as a whole before any of it counts: one sync instead of
/// thousands.
const BACKLOG: u64 = 5_000;

/// A copy, locked by whoever holds the directory.
#[derive(Debug)]
pub(crate) struct Copy {
    data: PathBuf,
    base: Base,
    /// What counts.
    replicas: BTreeMap<Place, Replica>,
    /// Fetched as a whole before any of it counts; what is here of the same session from before counts until then.
    coming: BTreeMap<Place, Replica>,
    /// What cannot come, and why.
    damaged: BTreeMap<String, String>,
}

impl Copy {
    /// What is there from before, which is a good deal of reading. Sessions that are damaged are put aside: they come again.
    ///
    /// # Errors
    /// When the directory cannot be read or written. What cannot be read now may be as good as it was, and stays.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let mut copy = Self {
            data: data.to_owned(),
            base: Base::of(data)?,
            replicas: BTreeMap::new(),
            coming: BTreeMap::new(),
            damaged: BTreeMap::new(),
        };
        match fs::remove_dir_all(copy.incoming()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for dir in store::sessions(data)? {
            let Some(of) = Place::of(&dir) else { continue };
            match Replica::there(&dir) {
                Ok(Some(replica)) => drop(copy.replicas.insert(of, replica)),
                Ok(None) => {}
                Err(reason) if reason.is_of_the_system() => {
                    return Err(io::Error::other(format!("{}: {reason}", dir.display())));
                }
                Err(reason) => {
                    warn!("{} is damaged: {reason}", dir.display());
                    copy.put_aside(&of)?;
                }
            }
        }
        Ok(copy)
    }

    pub(crate) fn id(&self) -> io::Result<Option<String>> {
        identity::read(&self.data)
    }

    /// What need not come again.
    pub(crate) fn has(&self) -> io::Result<(Vec<Has>, BTreeSet<String>)> {
        let has = self.replicas.iter().map(|(of, it)| Has { of: of.clone(), at: it.end() });
        Ok((has.collect(), self.base.has()?))
    }

    /// Everything of `id` from now on.
    pub(crate) fn is_of(&self, id: &str) -> io::Result<()> {
        identity::write(&self.data, id)
    }

    pub(crate) fn content(&self, content: &str) -> io::Result<()> {
        self.base.put(content)
    }

    pub(crate) fn files(&self, names: &BTreeMap<String, StateRef>) -> io::Result<()> {
        self.base.name(names)
    }

    /// A session that begins. What is here under its name is another, and stays until this one is here whole: its server may be
    /// gone before that.
    pub(crate) fn anew(
        &mut self,
        of: Place,
        begin: (u64, Vec<(String, String)>),
        backlog: u64,
    ) -> Result<(), Failed> {
        let strange = || Failed::Fault(format!("a session came under the name {:?}", of.name));
        let home = of.below(&self.data.join("sessions")).ok_or_else(strange)?;
        if backlog > BACKLOG || self.replicas.contains_key(&of) {
            let dir = of.below(&self.incoming()).ok_or_else(strange)?;
            let replica = Replica::anew(dir, Some(home), begin)?;
            self.coming.insert(of, replica);
        } else {
            self.put_aside(&of)?;
            let replica = Replica::anew(home, None, begin)?;
            self.replicas.insert(of, replica);
        }
        Ok(())
    }

    /// Adds records. Gives how far the session is on the disk, if it counts already.
    pub(crate) fn take(&mut self, of: &Place, records: &[u8]) -> Result<Option<u64>, Failed> {
        let replica = self.coming.get_mut(of).or_else(|| self.replicas.get_mut(of));
        let replica = replica.ok_or_else(|| Failed::Transit(format!("records came for {of} too early")))?;
        replica.take(records)?;
        replica.save_if_due();
        Ok(replica.is_home().then(|| replica.end().n))
    }

    /// All of that was sent. Gives what came home with it, and how many entries there are.
    pub(crate) fn standing(&mut self, at: &Table) -> Result<Vec<(Place, u64)>, Failed> {
        self.replicas.values_mut().for_each(Replica::save_if_due);
        let (whole, coming) = std::mem::take(&mut self.coming)
            .into_iter()
            .partition(|(of, _)| at.contains_key(&of.to_string()));
        self.coming = coming;
        let whole: BTreeMap<Place, Replica> = whole;
        whole.into_iter().map(|(of, replica)| self.comes_home(of, replica)).collect()
    }

    /// From here on it counts, and what was here of it before is put aside.
    fn comes_home(&mut self, of: Place, mut replica: Replica) -> Result<(Place, u64), Failed> {
        replica.come_home(|| self.put_aside(&of))?;
        let n = replica.end().n;
        self.replicas.insert(of.clone(), replica);
        Ok((of, n))
    }

    /// Puts sessions aside that the server does not have and that go on: they would be begun here by mistake.
    pub(crate) fn only(&mut self, at: &Table) -> Result<(), Failed> {
        let is_there =
            |of: &Place| at.contains_key(&of.to_string()) || self.damaged.contains_key(&of.to_string());
        let others = self.replicas.iter().filter(|(of, it)| !is_there(of) && !it.is_closed());
        let others: Vec<Place> = others.map(|(of, _)| of.clone()).collect();
        Ok(others.iter().try_for_each(|of| self.put_aside(of))?)
    }

    /// The server has a session that it cannot send whole; what is here of it stays.
    pub(crate) fn damaged(&mut self, of: &Place, reason: String) {
        error!(
            "session {of} is damaged on its server, and does not come whole: {reason}; repair it there (mpac-ws repair)"
        );
        self.damaged.insert(of.to_string(), reason);
    }

    /// The first of those that are not here whole, and why.
    pub(crate) fn lacks(&self) -> Option<(&str, &str)> {
        self.damaged.iter().next().map(|(of, reason)| (of.as_str(), reason.as_str()))
    }

    /// Everything that is on the disk, for the server to hear.
    pub(crate) fn ends(&self) -> Vec<(Place, u64)> {
        self.replicas.iter().map(|(of, it)| (of.clone(), it.end().n)).collect()
    }

    /// Entries of all sessions.
    pub(crate) fn entries(&self) -> u64 {
        let there = self.replicas.iter().filter(|(of, _)| !self.coming.contains_key(of));
        there.chain(&self.coming).map(|(_, it)| it.end().n).sum()
    }

    /// The sessions as they are now, those too that do not count yet.
    pub(crate) fn replicas(&self) -> impl Iterator<Item = &Replica> {
        self.replicas.values().chain(self.coming.values())
    }

    /// Makes it ready for a server to start from: everything that came counts, but for a part of what is here whole.
    pub(crate) fn finish(mut self) -> Result<(), Failed> {
        for (of, replica) in std::mem::take(&mut self.coming) {
            let n = replica.end().n;
            if self.replicas.contains_key(&of) {
                warn!(
                    "of {of} as its server has it only the first {n} entries came; what is here from before stays"
                );
                continue;
            }
            warn!("of {of} only the first {n} entries came before the server fell silent");
            self.comes_home(of, replica)?;
        }
        self.replicas.values_mut().for_each(Replica::save);
        Ok(())
    }

    fn incoming(&self) -> PathBuf {
        self.data.join("incoming")
    }

    /// Out of the way, and kept: somebody may want to look at what it has that the server has not.
    fn put_aside(&mut self, of: &Place) -> io::Result<()> {
        self.replicas.remove(of);
        let Some(dir) = of.below(&self.data.join("sessions")) else { return Ok(()) };
        if !dir.exists() || fs::remove_dir(&dir).is_ok() {
            return Ok(());
        }
        let aside = self.data.join("aside");
        fs::create_dir_all(&aside)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let to = aside.join(format!("{}-{}-{now}", of.name, of.run));
        info!("{} is not what its server has; it is put aside as {}", dir.display(), to.display());
        fs::rename(&dir, &to)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
