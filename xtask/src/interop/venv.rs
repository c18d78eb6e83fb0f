//! Virtual environments below `target/interop`, one a Python version, installed once.

use std::path::PathBuf;
use std::process::Command;

use crate::step::{self, Failure};

/// Name of the file that says what an environment was finished with.
const MARK: &str = "installed.txt";

/// The interpreter of the environment for this version of the `mpac` package.
pub(crate) fn python(version: &str) -> PathBuf {
    folder(version).join("bin/python")
}

fn folder(version: &str) -> PathBuf {
    step::target().join("interop").join(format!("mpac-{version}"))
}

/// Makes the environment, unless it is there with the same pinned libraries.
///
/// # Errors
/// There is no usable Python 3 with `venv`, or the package cannot be installed.
pub(crate) fn ensure(version: &str) -> Result<(), Failure> {
    let folder = folder(version);
    let pins = step::root().join("fixtures/interop/constraints.txt");
    let wanted = format!("mpac=={version}\n{}", step::text(&pins)?);
    if std::fs::read_to_string(folder.join(MARK)).is_ok_and(|found| found == wanted) {
        println!("mpac {version}: already installed");
        return Ok(());
    }
    println!("mpac {version}: installing into a new virtual environment");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Failure::io("remove an unfinished virtual environment"))?;
    }
    step::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"];
    step::run(Command::new(python(version)).args(install).arg(&pins).arg(format!("mpac=={version}")))?;
    std::fs::write(folder.join(MARK), wanted).map_err(Failure::io("mark the virtual environment as finished"))
}
