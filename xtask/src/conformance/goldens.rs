//! `cargo xtask conformance`: for now the fourteen golden messages, their bytes and the tests that replay them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::step::{self, Failure};

/// How many goldens there are: seven from each of two reference participants.
const GOLDENS: usize = 14;

/// Checks the golden files against their checksums, then runs the tests with `golden` in their name.
///
/// # Errors
/// A golden is missing, changed or not listed; a golden test fails; or a crate has none.
pub(crate) fn run() -> Result<(), Failure> {
    check_files()?;
    for name in ["mpac-wire", "mpac-core"] {
        let output = step::read(&mut step::cargo(&["test", "--locked", "-p", name, "golden"]))?;
        let passed: Vec<&str> =
            output.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).collect();
        if passed.is_empty() {
            return Err(Failure::check(format!("{name} has no test with `golden` in its name")));
        }
        println!("{name}: {} golden tests passed", passed.len());
        for line in passed {
            println!("  {line}");
        }
    }
    Ok(())
}

fn check_files() -> Result<(), Failure> {
    let folder = step::root().join("fixtures/golden");
    let sums = parse_sums(&step::text(&folder.join("SHA256SUMS"))?)?;
    let mut wrong = Vec::new();
    let mut found = 0;
    for path in
        step::files_below(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let name = path.display().to_string();
        let bytes = std::fs::read(folder.join(&path)).map_err(Failure::io(format!("read {name}")))?;
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        match sums.get(&name) {
            None => wrong.push(format!("{name} is not in SHA256SUMS")),
            Some(listed) if *listed != sum => wrong.push(format!("{name} differs from SHA256SUMS")),
            Some(_) => found += 1,
        }
    }
    if found != GOLDENS || sums.len() != GOLDENS {
        wrong.push(format!("{found} goldens match of {} listed, there should be {GOLDENS}", sums.len()));
    }
    if wrong.is_empty() {
        println!("{found} golden files are byte-identical to SHA256SUMS");
        Ok(())
    } else {
        Err(Failure::check(format!("fixtures/golden: {}", wrong.join("; "))))
    }
}

/// Name to checksum.
fn parse_sums(list: &str) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = list.lines().map(|line| {
        let (sum, name) =
            line.split_once("  ").ok_or_else(|| Failure::check(format!("SHA256SUMS: `{line}`")))?;
        Ok((name.to_owned(), sum.to_owned()))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_files_are_the_fourteen_that_were_exchanged() {
        check_files().unwrap();
    }

    #[test]
    fn a_line_that_is_no_checksum_is_refused() {
        assert!(parse_sums("abc  a.json\n").is_ok());
        assert!(parse_sums("nothing\n").is_err());
    }
}
