//! Which server a data directory is of: its copies have the same name, and nobody copies one server over another.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::whole;
use crate::hex;

const FILE: &str = "id.json";

#[derive(Serialize, Deserialize)]
struct Identity {
    id: String,
}

/// The name, if the directory has one.
pub(crate) fn read(data: &Path) -> io::Result<Option<String>> {
    Ok(whole::read_json::<Identity>(data, FILE)?.map(|it| it.id))
}

/// Gives the directory the name of the one that it is a copy of.
pub(crate) fn write(data: &Path, id: &str) -> io::Result<()> {
    whole::write_json(data, FILE, &Identity { id: id.to_owned() })
}

/// The name; one that nobody else has, where there is none yet.
pub(crate) fn of(data: &Path) -> io::Result<String> {
    if let Some(id) = read(data)? {
        return Ok(id);
    }
    let id = hex::random::<16>()?;
    write(data, &id)?;
    Ok(id)
}
