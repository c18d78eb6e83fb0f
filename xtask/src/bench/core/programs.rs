//! The programs that are measured, and the streams that they are given.

use std::path::PathBuf;
use std::process::Command;

use serde::de::DeserializeOwned;

use crate::interop::venv;
use crate::step::{self, Failure};

/// The version of the Python reference that figures are compared with.
const PYTHON: &str = "0.1.0";
/// Streams for the coordinator and the limit, and those that Python gets the beginning of.
pub(super) const BUSY: &str = "w1";
pub(super) const GROWTH: [(u32, &str); 4] = [
    (100, "w2_n100_p2000"),
    (1_000, "w2_n1000_p2000"),
    (10_000, "w2_n10000_p2000"),
    (100_000, "w2_n100000_p2000"),
];
pub(super) const GROWTH_OF_PYTHON: &str = "w2_n100";
pub(super) const STORM: [(u32, &str); 3] = [(100, "w3_n100"), (200, "w3"), (400, "w3_n400")];
pub(super) const LONG: &str = "w4";

/// Where everything lies.
pub(super) struct Programs {
    measure: PathBuf,
    streams: PathBuf,
    pub(super) with_python: bool,
}

impl Programs {
    /// Builds `measure` and has it write the streams; installs the reference.
    pub(super) fn prepare(with_python: bool) -> Result<Self, Failure> {
        let programs = Self { measure: build()?, streams: step::target().join("bench"), with_python };
        let names = GROWTH.iter().chain(&STORM).map(|(_, name)| *name);
        let mut command = Command::new(&programs.measure);
        command.arg("generate").arg(&programs.streams).args([BUSY, GROWTH_OF_PYTHON, LONG]).args(names);
        step::run(&mut command)?;
        if with_python {
            venv::ensure(PYTHON)?;
        }
        Ok(programs)
    }

    fn stream(&self, name: &str) -> PathBuf {
        self.streams.join(name).with_extension("jsonl")
    }

    /// Runs a command of `measure` on a stream.
    pub(super) fn measure<T: DeserializeOwned>(&self, command: &str, stream: &str) -> Result<T, Failure> {
        figures(Command::new(&self.measure).arg(command).arg(self.stream(stream)))
    }

    /// Runs the reference on the first so many measured messages of a stream.
    pub(super) fn python<T: DeserializeOwned>(&self, stream: &str, first: u32) -> Result<T, Failure> {
        let python = venv::python(PYTHON);
        // Its environment has the package already; the path that the driver puts in front changes nothing.
        let mut command = Command::new(&python);
        command.arg(step::root().join("fixtures/bench/drive_python.py")).arg("--peer-path").arg(step::root());
        command.arg("--file").arg(self.stream(stream)).args(["--limit", &first.to_string()]);
        figures(&mut command)
    }
}

/// Builds the crate of measured programs, optimised, and says where it is.
pub(in super::super) fn build() -> Result<PathBuf, Failure> {
    step::run(&mut step::cargo(&["build", "--quiet", "--locked", "--release", "-p", "measure"]))?;
    Ok(step::target().join("release").join("measure"))
}

/// The line of JSON that a program prints.
fn figures<T: DeserializeOwned>(command: &mut Command) -> Result<T, Failure> {
    let text = step::read(command)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::check(format!("a measured program printed no figures ({error}): {text}")))
}
