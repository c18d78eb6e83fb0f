//! The measured program under callgrind.

use std::path::PathBuf;
use std::process::Command;

use crate::bench::core::{Core, build};
use crate::step::{self, Failure};

/// Program and streams.
pub(super) struct Callgrind {
    program: PathBuf,
    streams: PathBuf,
}

impl Callgrind {
    /// Builds the program.
    pub(super) fn prepare() -> Result<Self, Failure> {
        Ok(Self { program: build()?, streams: step::target().join("bench") })
    }

    /// All that a workload takes, start and end of the program included; and what the coordinator said in it.
    pub(super) fn all(&self, workload: &str) -> Result<(u64, Core), Failure> {
        step::run(Command::new(&self.program).arg("generate").arg(&self.streams).arg(workload))?;
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--error-exitcode=1"]);
        command.arg(&self.program).arg("core").arg(self.streams.join(workload).with_extension("jsonl"));
        let output = command.output().map_err(Failure::io(
            "run valgrind (Debian: `apt-get install valgrind`; `.ci/run` installs it)",
        ))?;
        let told = String::from_utf8_lossy(&output.stderr);
        let counted = told.lines().find_map(collected).filter(|_| output.status.success());
        let counted = counted.ok_or_else(|| {
            Failure::check(format!("valgrind counted nothing ({}):\n{told}", output.status))
        })?;
        let core = serde_json::from_slice(&output.stdout)
            .map_err(|error| Failure::check(format!("{workload}: no figures were printed: {error}")))?;
        Ok((counted, core))
    }

    /// What each takes of the `more` that the second workload has more than the first, of which it is the continuation: everything
    /// else falls out.
    pub(super) fn each(&self, [few, many]: [&str; 2], more: u64) -> Result<u64, Failure> {
        let ((less, _), (all, _)) = (self.all(few)?, self.all(many)?);
        let taken = all.checked_sub(less);
        taken.map(|it| it / more).ok_or_else(|| Failure::check(format!("{many} takes less than {few}")))
    }
}

/// `==1234== Collected : 567`.
fn collected(line: &str) -> Option<u64> {
    line.split_once("Collected : ")?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_valgrind_says() {
        assert_eq!(collected("==12== Collected : 135817303"), Some(135_817_303));
        assert_eq!(collected("==12== I   refs:      343,476"), None);
    }
}
