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
/// # Errors
/// When the system refuses it.
#[cfg(unix)]
pub(crate) fn give(file: &File, like: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    // Anybody else makes files for nobody but themselves.
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (owner, made) = (fs::metadata(like)?, file.metadata()?);
    if (owner.uid(), owner.gid()) != (made.uid(), made.gid()) {
        fchown(file, Some(owner.uid()), Some(owner.gid())).map_err(|error| {
            let whose = like.display();
            let reason =
                format!("it cannot be given to the owner of {whose}: {error}; run this as that user");
            io::Error::new(error.kind(), reason)
        })?;
    }
    if owner.is_file() && owner.mode() & 0o040 != 0 {
        file.set_permissions(fs::Permissions::from_mode(made.mode() | 0o040))?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn give(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}
