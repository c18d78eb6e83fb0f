//! Files of keys and certificates: nobody else can read them, and none is replaced unasked.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::path::Path;

use super::CertError;

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, CertError> {
    fs::read_to_string(path).map_err(|source| CertError::Read { path: path.to_owned(), source })
}

/// Writes all of them, or says which one is there already before any is written. `force` replaces.
pub(super) fn write_new(files: &[(&Path, &str)], force: bool) -> Result<(), CertError> {
    if let Some((there, _)) = files.iter().find(|(path, _)| !force && path.symlink_metadata().is_ok()) {
        return Err(CertError::Exists((*there).to_owned()));
    }
    files.iter().try_for_each(|(path, text)| write(path, text, force))
}

/// Whole or not at all, also when somebody else makes the file at the same moment.
fn write(path: &Path, text: &str, force: bool) -> Result<(), CertError> {
    let failed = |source| CertError::Write { path: path.to_owned(), source };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir).map_err(failed)?;
    // On Unix such a file is its owner's alone to read.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    if force {
        return file.persist(path).map(|_| ()).map_err(|error| failed(error.error));
    }
    file.persist_noclobber(path).map(|_| ()).map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => CertError::Exists(path.to_owned()),
        _ => failed(error.error),
    })
}
