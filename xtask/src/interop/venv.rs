//! Virtual environments below `target/interop`, each installed once: one a Python version of the peers, one for
//! signatures, and one with the MCP client.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{self, Failure};

/// Name of the file that says what an environment was finished with.
const MARK: &str = "installed.txt";

/// The interpreter of the environment for this version of the `mpac` package.
pub(crate) fn python(version: &str) -> PathBuf {
    interpreter(&folder(&format!("mpac-{version}")))
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn folder(name: &str) -> PathBuf {
    step::target().join("interop").join(name)
}

/// Makes the environment for this version of the `mpac` package.
///
/// # Errors
/// As for [`install`].
pub(crate) fn ensure(version: &str) -> Result<(), Failure> {
    let pins = step::root().join("fixtures/interop/constraints.txt");
    install(&format!("mpac-{version}"), &format!("mpac=={version}"), &pins).map(drop)
}

/// Makes the environment in which Python signs and verifies; gives its interpreter.
///
/// # Errors
/// As for [`install`].
pub(crate) fn of_signatures() -> Result<PathBuf, Failure> {
    install("signatures", "cryptography", &step::root().join("fixtures/signatures/constraints.txt"))
}

/// Makes the environment with the official MCP client; gives its interpreter.
///
/// # Errors
/// As for [`install`].
pub(crate) fn of_mcp() -> Result<PathBuf, Failure> {
    install("mcp", "mcp", &step::root().join("fixtures/mcp/constraints.txt"))
}

/// Makes the environment of this name with a package, unless it is there with the same pinned libraries.
///
/// # Errors
/// There is no usable Python 3 with `venv`, or the package cannot be installed.
fn install(name: &str, package: &str, pins: &Path) -> Result<PathBuf, Failure> {
    let folder = folder(name);
    let python = interpreter(&folder);
    let wanted = format!("{package}\n{}", step::text(pins)?);
    if std::fs::read_to_string(folder.join(MARK)).is_ok_and(|found| found == wanted) {
        println!("{name}: already installed");
        return Ok(python);
    }
    println!("{name}: installing into a new virtual environment");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Failure::io("remove an unfinished virtual environment"))?;
    }
    step::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--constraint"];
    step::run(Command::new(&python).args(args).arg(pins).arg(package))?;
    std::fs::write(folder.join(MARK), wanted)
        .map_err(Failure::io("mark the virtual environment as finished"))?;
    Ok(python)
}
