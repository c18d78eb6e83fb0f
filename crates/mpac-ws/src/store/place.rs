//! Where the data directory is.

use std::env;
use std::path::{Component, Path, PathBuf};

use super::Durability;
use crate::cli::Settings;
use crate::error::Error;
use crate::hex;

/// What a server keeps, and where; `None` when nothing.
///
/// # Errors
/// When the system names no place, or the one given is inside the shared directory.
pub(crate) fn of(settings: &Settings) -> Result<Option<(PathBuf, Durability)>, Error> {
    let found_again = settings.port != 0 || settings.data_dir.is_some();
    let default = if found_again { Durability::Fsync } else { Durability::None };
    let durability = settings.durability.unwrap_or(default);
    if durability == Durability::None {
        return Ok(None);
    }
    let dir = found(settings.data_dir.as_deref(), settings.workspace.as_deref(), settings.port)?;
    match &settings.workspace {
        Some(shared) if is_inside(&dir, shared) => Err(Error::DataDirShared { path: dir }),
        _ => Ok(Some((dir, durability))),
    }
}

/// Refuses an archive where it would be no copy, or would be shared; `data` is there already.
pub(crate) fn check_archive(settings: &Settings, data: &Path) -> Result<(), Error> {
    let Some(archive) = &settings.keeping.archive_dir else { return Ok(()) };
    let archive =
        std::path::absolute(archive).map_err(|source| Error::DataDir { path: archive.clone(), source })?;
    let not_in = [("data directory", Some(data)), ("shared directory", settings.workspace.as_deref())];
    match not_in.into_iter().find(|(_, dir)| dir.is_some_and(|dir| is_inside(&archive, dir))) {
        Some((within, _)) => Err(Error::ArchiveWithin { path: archive, within }),
        None => Ok(()),
    }
}

/// Where a server that is started like this has its data directory.
///
/// # Errors
/// When the system names no place.
pub(crate) fn found(data_dir: Option<&Path>, workspace: Option<&Path>, port: u16) -> Result<PathBuf, Error> {
    let dir = match data_dir {
        Some(dir) => dir.to_owned(),
        None => all()?.join(own(workspace, port)),
    };
    std::path::absolute(&dir).map_err(|source| Error::DataDir { path: dir, source })
}

/// Below this there is a directory for every workspace.
pub(crate) fn all() -> Result<PathBuf, Error> {
    let (variable, below) = if cfg!(windows) {
        ("LOCALAPPDATA", "mpac-ws")
    } else if cfg!(target_os = "macos") {
        ("HOME", "Library/Application Support/mpac-ws")
    } else if is_set("XDG_STATE_HOME") {
        ("XDG_STATE_HOME", "mpac-ws")
    } else {
        ("HOME", ".local/state/mpac-ws")
    };
    let base = env::var_os(variable).filter(|_| is_set(variable)).ok_or(Error::NoDataDir(variable))?;
    Ok(PathBuf::from(base).join(below))
}

fn is_set(variable: &str) -> bool {
    // What is relative is to be ignored, says the XDG specification, and would be another place for every shell.
    env::var_os(variable).is_some_and(|value| Path::new(&value).is_absolute())
}

/// Where a server keeps its sessions that was not told otherwise.
///
/// # Errors
/// When the system names no place.
pub(crate) fn of_server(workspace: Option<&Path>, port: u16) -> Result<PathBuf, Error> {
    Ok(all()?.join(own(workspace, port)))
}

/// The same for the same workspace, by whatever way it is named.
fn own(workspace: Option<&Path>, port: u16) -> String {
    let Some(workspace) = workspace else { return format!("port-{port}") };
    let path = workspace.canonicalize().unwrap_or_else(|_| workspace.to_owned());
    let digits = hex::sha256(path.as_os_str().as_encoded_bytes());
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String =
        path.file_name().unwrap_or_default().to_string_lossy().chars().take(40).map(plain).collect();
    format!("{name}-{digits:.16}")
}

/// Whether `dir`, which may not exist yet, would be in `shared`: links are followed as far as there is something.
pub(crate) fn is_inside(dir: &Path, shared: &Path) -> bool {
    let Ok(shared) = shared.canonicalize() else { return false };
    let mut place = PathBuf::new();
    for part in dir.components() {
        match part {
            // Of where a link led to, and of what is not there it is the name before.
            Component::ParentDir => drop(place.pop()),
            _ => place.push(part),
        }
        // Only a name can be a link.
        if let (Component::Normal(_), Ok(real)) = (part, place.canonicalize()) {
            place = real;
        }
    }
    place.starts_with(&shared)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn place(flags: &[&str]) -> Result<Option<(PathBuf, Durability)>, Error> {
        of(&Settings::try_parse_from([&["mpac-ws"], flags].concat()).unwrap())
    }

    #[test]
    fn only_who_can_be_found_again_keeps_something_by_default() {
        assert_eq!(place(&["--port=0"]).unwrap(), None);
        assert_eq!(place(&["--durability=none", "--data-dir=x"]).unwrap(), None);
        let (dir, durability) = place(&["--port=0", "--data-dir=x"]).unwrap().unwrap();
        assert!(dir.is_absolute() && dir.ends_with("x"));
        assert_eq!(durability, Durability::Fsync);
        assert_eq!(place(&["--data-dir=x", "--durability=os"]).unwrap().unwrap().1, Durability::Os);
    }

    #[test]
    fn every_workspace_has_a_place_of_its_own_under_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let (shop, other) = (dir.path().join("my shop"), dir.path().join("shop"));
        std::fs::create_dir(&shop).unwrap();
        std::fs::create_dir(&other).unwrap();
        let of = |dir: &Path| own(Some(dir), 8766);
        assert!(of(&shop).starts_with("my_shop-"));
        assert_eq!(of(&shop), of(&other.join("..").join("my shop")));
        assert_ne!(of(&shop), of(&other));
        assert_eq!(own(None, 9), "port-9");
    }

    #[test]
    fn no_archive_is_where_it_would_be_no_copy_or_would_be_shared() {
        let dir = tempfile::tempdir().unwrap();
        let (data, shop) = (dir.path().join("data"), dir.path().join("shop"));
        [&data, &shop].iter().for_each(|it| std::fs::create_dir(it).unwrap());
        let check = |archive: &Path| {
            let flags =
                [format!("--workspace={}", shop.display()), format!("--archive-dir={}", archive.display())];
            let flags = ["mpac-ws", "--port=0", &flags[0], &flags[1]];
            check_archive(&Settings::try_parse_from(flags).unwrap(), &data)
        };
        for within in [&data, &data.join("sessions"), &shop, &shop.join("a/b")] {
            assert!(matches!(check(within), Err(Error::ArchiveWithin { .. })), "{}", within.display());
        }
        check(&dir.path().join("archive")).unwrap();
    }

    #[test]
    fn what_is_inside_depends_on_where_a_path_leads_and_not_through_what() {
        let above = tempfile::tempdir().unwrap();
        let shop = above.path().join("shop");
        std::fs::create_dir_all(shop.join("a")).unwrap();
        for outside in ["../bk", "a/../../bk", "none/../../bk", "../shop-2/bk"] {
            assert!(!is_inside(&shop.join(outside), &shop), "{outside}");
        }
        for inside in ["", "bk", "a/../bk", "../shop/bk", "../none/../shop/bk", "../none/../none/../shop"] {
            assert!(is_inside(&shop.join(inside), &shop), "{inside}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_followed_to_where_it_leads() {
        let above = tempfile::tempdir().unwrap();
        let (shop, out) = (above.path().join("shop"), above.path().join("out"));
        [&shop, &out, &shop.join("a")].iter().for_each(|it| std::fs::create_dir(it).unwrap());
        std::os::unix::fs::symlink(shop.join("a"), out.join("in")).unwrap();
        std::os::unix::fs::symlink(&out, shop.join("out")).unwrap();
        assert!(is_inside(&out.join("in/bk"), &shop) && is_inside(&out.join("in/../bk"), &shop));
        assert!(!is_inside(&shop.join("out/bk"), &shop) && !is_inside(&shop.join("out/../bk"), &shop));
    }

    #[test]
    fn nothing_is_kept_in_what_is_shared() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = format!("--workspace={}", dir.path().display());
        for inside in ["", "a", "a/b/../c"] {
            let data = format!("--data-dir={}", dir.path().join(inside).display());
            let refused = place(&[&workspace, &data]).unwrap_err();
            assert!(matches!(refused, Error::DataDirShared { .. }), "{inside}: {refused}");
        }
        let beside = format!("--data-dir={}-data", dir.path().display());
        assert!(place(&[&workspace, &beside]).unwrap().is_some());
    }
}
