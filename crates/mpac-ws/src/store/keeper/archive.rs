//! Copies of what is going to be deleted, laid out like a data directory: `audit` reads them with `--data-dir`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::store::media::{Files, Media, segment, sync_dir};
use crate::store::reading::{BEGINS, Begins};
use crate::store::repair::REPAIRED;
use crate::store::{gzip, private_dirs, record, snapshot};

/// Where they go.
#[derive(Debug)]
pub(super) struct Archive {
    dir: PathBuf,
    data: PathBuf,
}

impl Archive {
    pub(super) const fn new(dir: PathBuf, data: PathBuf) -> Self {
        Self { dir, data }
    }

    /// Copies the compressed segments that are not there yet, each after the snapshot that it begins from.
    pub(super) fn take(&self, dir: &Path, stop: &AtomicBool) -> io::Result<()> {
        let files = Files::new(dir.to_owned());
        let packed: Vec<u64> =
            files.segments()?.into_iter().filter(|&first| !dir.join(segment(first)).exists()).collect();
        if packed.is_empty() {
            return Ok(());
        }
        let into = self.place(dir)?;
        for first in packed {
            self.segment(dir, &into, first, stop)?;
        }
        sync_dir(&into)
    }

    /// Copies all there is of a session that is over.
    pub(super) fn take_all(&self, dir: &Path, stop: &AtomicBool) -> io::Result<()> {
        let into = self.place(dir)?;
        for first in Files::new(dir.to_owned()).segments()? {
            self.segment(dir, &into, first, stop)?;
            self.has(dir, first)?;
        }
        if let Some((_, newest)) = snapshot::listed(dir)?.pop() {
            copy(&newest, &into)?;
        }
        sync_dir(&into)
    }

    /// Makes sure that a segment is there, and is the one that is here.
    ///
    /// # Errors
    /// When it is not: then nothing may be deleted.
    pub(super) fn has(&self, dir: &Path, first: u64) -> io::Result<()> {
        let there = self.named(dir)?.join(segment(first));
        if gzip::read(&there)? == Files::new(dir.to_owned()).read(first)? {
            return Ok(());
        }
        let name = there.display();
        Err(io::Error::other(format!("{name} holds something else: name another place with --archive-dir")))
    }

    /// The session's directory in the archive, made where it is missing.
    fn place(&self, dir: &Path) -> io::Result<PathBuf> {
        let into = self.named(dir)?;
        // What was archived before a repair is no part of the session as it is now.
        let repaired = |of: &Path| fs::read(of.join(REPAIRED)).ok();
        if into.is_dir() && repaired(dir) != repaired(&into) {
            fs::rename(&into, aside(&into, "before-repair"))?;
        } else if into.is_dir() && is_behind(&into, dir)? {
            fs::rename(&into, aside(&into, "until"))?;
        }
        if !into.is_dir() {
            private_dirs().create(&into)?;
            into.ancestors().skip(1).take(3).try_for_each(sync_dir)?;
        }
        if Files::new(into.clone()).segments()?.is_empty() {
            // What was deleted before there was an archive is not in it.
            copy(&dir.join(BEGINS), &into)?;
            copy(&dir.join(REPAIRED), &into)?;
        }
        Ok(into)
    }

    fn named(&self, dir: &Path) -> io::Result<PathBuf> {
        let name = dir.strip_prefix(&self.data).map_err(io::Error::other)?;
        Ok(self.dir.join(name))
    }

    fn segment(&self, dir: &Path, into: &Path, first: u64, stop: &AtomicBool) -> io::Result<()> {
        let base = snapshot::base(dir, first - 1);
        copy(&base, into)?;
        copy(&gzip::packed(&base), into)?;
        let path = dir.join(segment(first));
        if path.exists() {
            let packed = gzip::packed(&into.join(segment(first)));
            return if packed.exists() { Ok(()) } else { gzip::pack(&path, &packed, stop) };
        }
        copy(&gzip::packed(&path), into)
    }
}

/// Whether what was archived ends before what is kept begins: in between something was deleted that nobody archived, so the
/// two are not one log.
fn is_behind(into: &Path, dir: &Path) -> io::Result<bool> {
    let (Some(begins), files) = (Begins::read(dir)?, Files::new(into.to_owned())) else { return Ok(false) };
    match files.segments()?.last() {
        Some(&last) if last <= begins.after => {
            Ok(record::last(&files.read(last)?).is_none_or(|n| n < begins.after))
        }
        _ => Ok(false),
    }
}

/// A name that is nobody's yet.
fn aside(into: &Path, why: &str) -> PathBuf {
    let run = into.file_name().unwrap_or_default().to_string_lossy();
    let mut count = 1;
    loop {
        let name = into.with_file_name(format!("{run}.{why}-{count}"));
        if !name.exists() {
            return name;
        }
        count += 1;
    }
}

/// Copies a file that is here and not there: whole, or not at all.
fn copy(from: &Path, into: &Path) -> io::Result<()> {
    let Some(to) = from.file_name().map(|name| into.join(name)) else { return Ok(()) };
    if !from.exists() || to.exists() {
        return Ok(());
    }
    let mut half = tempfile::Builder::new().prefix(gzip::HALF).tempfile_in(into)?;
    io::copy(&mut File::open(from)?, half.as_file_mut())?;
    half.as_file().sync_all()?;
    half.persist(to).map_err(|error| error.error)?;
    Ok(())
}
