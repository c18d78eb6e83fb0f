//! What a crash left of files and directories that were being made or deleted.

use std::fs;
use std::io;
use std::path::Path;

use super::keeper::DELETING;
use super::{gzip, media, names, numbered, reading, repair, snapshot};

/// Removes it, and finishes repairs, before anybody uses the data directory: whoever makes such files now is somebody else.
pub(super) fn clear(data: &Path) -> io::Result<()> {
    for of_name in names(data)? {
        repair::finish(&of_name)?;
        for entry in fs::read_dir(&of_name)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(DELETING) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for (_, dir) in numbered(&of_name)? {
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                if is_half(&entry.file_name().to_string_lossy()) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
    }
    Ok(())
}

fn is_half(name: &str) -> bool {
    [gzip::HALF, media::HALF, reading::HALF, snapshot::HALF].iter().any(|begin| name.starts_with(begin))
}
