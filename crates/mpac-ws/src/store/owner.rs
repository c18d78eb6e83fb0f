//! Whose a file is that a command makes beside those of a server: root's commands may be for a server that runs as somebody else,
//! and that has to read and write it too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

/// Opens a file; one that is made now belongs to whoever has `like`.
///
/// # Errors
/// When it cannot be opened, or not be given to them; then it is not there.
pub(crate) fn open(options: &OpenOptions, path: &Path, like: &Path) -> io::Result<File> {
    // What is there already may be a link to something that is nobody else's business.
    let made = match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return options.open(path),
        made => made?,
    };
    give(&made, like).inspect_err(|_| drop(fs::remove_file(path)))?;
    Ok(made)
}

/// Gives a file that was just made to whoever has `like`; if that is a file, its group can read this one as well as that.
///
/// Only root can give files away. Whoever else is to replace a file of somebody's has to have the directory, and so is whom it is for.
///
/// # Errors
/// When the system refuses it.
#[cfg(unix)]
pub(crate) fn give(file: &File, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    let (owner, made) = (fs::metadata(like)?, file.metadata()?);
    let is_root = rustix::process::geteuid().is_root();
    if !is_root && (!owner.is_file() || is_taken_over(like, owner.uid(), made.uid())?) {
        return Ok(());
    }
    let is_shared = owner.is_file() && owner.mode() & 0o040 != 0;
    let uid = Some(owner.uid()).filter(|&uid| uid != made.uid());
    // For nobody else than root it matters which group cannot read it.
    let gid = Some(owner.gid()).filter(|&gid| gid != made.gid() && (is_root || is_shared));
    if uid.is_some() || gid.is_some() {
        fchown(file, uid, gid).map_err(|error| {
            let whose = like.display();
            let reason = format!(
                "it cannot be given to the owner and the group of {whose}: {error}; run this as that user, in that group"
            );
            io::Error::new(error.kind(), reason)
        })?;
    }
    if is_shared {
        file.set_permissions(fs::Permissions::from_mode(made.mode() | 0o040))?;
    }
    Ok(())
}

/// Whether `like` is somebody else's in a directory of whoever puts another file in its place, as a server does in its own.
#[cfg(unix)]
fn is_taken_over(like: &Path, owner: u32, by: u32) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let dir = like.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    Ok(owner != by && fs::metadata(dir)?.uid() == by)
}

#[cfg(not(unix))]
pub(crate) fn give(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}
