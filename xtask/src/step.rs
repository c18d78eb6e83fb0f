//! What every command shares: one failure type, the repository's root, and running a command to its end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a step failed, in words that name what is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A check found something; the text lists all of it.
    #[error("{0}")]
    Check(String),
    /// A file or process operation failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried, to be read after "cannot".
        doing: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl Failure {
    /// A failed check with its text.
    pub(crate) fn check(text: impl Into<String>) -> Self {
        Self::Check(text.into())
    }

    /// For `map_err`: wraps the system's reason with what was tried.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// The repository's root: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this crate lies in a folder of the repository").to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// `cargo` with these arguments, in the repository's root.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Takes from a command what somebody has set for agents and servers of their own (`MPAC_URL`, `MPAC_LOG`): a check is the
/// same for everybody. What the command sets itself stays.
pub(crate) fn unset_ours(command: &mut Command) {
    unset(command, std::env::vars_os().map(|(name, _)| name));
}

fn unset(command: &mut Command, inherited: impl Iterator<Item = OsString>) {
    for name in inherited {
        let is_ours = name.to_str().is_some_and(|name| name.starts_with("MPAC_"));
        if is_ours && !command.get_envs().any(|(set, _)| set == name) {
            command.env_remove(name);
        }
    }
}

/// Prints a line; that nobody reads any more (`| head`) is no reason to stop.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Runs to the end with inherited output.
///
/// # Errors
/// The command cannot be started, or ends with anything but success.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let shown = show(command);
    unset_ours(command);
    let status = command.status().map_err(Failure::io(format!("run `{shown}`")))?;
    if status.success() { Ok(()) } else { Err(Failure::check(format!("`{shown}` ended with {status}"))) }
}

/// Runs to the end and hands back what it wrote to its standard output.
///
/// # Errors
/// The command cannot be started, or ends with anything but success; the text then holds both its outputs.
pub(crate) fn read(command: &mut Command) -> Result<String, Failure> {
    let shown = show(command);
    unset_ours(command);
    let output = command.output().map_err(Failure::io(format!("run `{shown}`")))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(Failure::check(format!("`{shown}` ended with {}:\n{said}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The text of a file.
///
/// # Errors
/// The file cannot be read or is not UTF-8.
pub(crate) fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(Failure::io(format!("read {}", path.display())))
}

/// Every file below `dir` with its path relative to `dir`, sorted.
///
/// # Errors
/// A folder cannot be listed.
pub(crate) fn files_below(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let listing =
            std::fs::read_dir(&folder).map_err(Failure::io(format!("list {}", folder.display())))?;
        for entry in listing {
            let path = entry.map_err(Failure::io(format!("list {}", folder.display())))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(relative) = path.strip_prefix(dir) {
                found.push(relative.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Copies a folder with everything in it to a place that does not exist yet or is empty.
///
/// # Errors
/// Something cannot be read or written.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<(), Failure> {
    for relative in files_below(from)? {
        let (source, place) = (from.join(&relative), to.join(&relative));
        if let Some(folder) = place.parent() {
            std::fs::create_dir_all(folder).map_err(Failure::io(format!("create {}", folder.display())))?;
        }
        std::fs::copy(&source, &place).map_err(Failure::io(format!("copy {}", source.display())))?;
    }
    Ok(())
}

fn show(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    if let Some(name) = Path::new(&words[0]).file_name() {
        words[0] = name.to_string_lossy().into_owned();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_whoever_runs_a_check_are_not_its_own() {
        let mut command = Command::new("mpac-agent");
        command.env("MPAC_URL", "ws://here");
        unset(&mut command, ["MPAC_URL", "MPAC_SESSION", "HOME"].map(OsString::from).into_iter());
        let told: Vec<_> = command.get_envs().collect();
        assert_eq!(
            told,
            [("MPAC_SESSION".as_ref(), None), ("MPAC_URL".as_ref(), Some("ws://here".as_ref()))]
        );
    }
}
