//! The fourteen golden messages: what two reference participants really wrote, byte for byte.

use std::collections::BTreeMap;
use std::path::PathBuf;

use mpac_wire::{Limits, Received, layout};
use sha2::{Digest, Sha256};

use super::judge::Fault;
use super::report::Row;
use crate::step::{self, Failure};

/// How many goldens there are: seven from each of two reference participants.
const GOLDENS: usize = 14;

/// Each golden by name: its bytes are those of the checksums, and the types write the same bytes again, in both layouts.
///
/// # Errors
/// The folder or the checksums cannot be read, or a golden is missing.
pub(super) fn rows() -> Result<Vec<Row>, Failure> {
    check_files()?;
    let folder = step::root().join("fixtures/golden");
    let names =
        step::files_below(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
    let row = |path: PathBuf| {
        let name = path.with_extension("").display().to_string();
        let text = step::text(&folder.join(&path))?;
        let fault = through_types(&text).err().map(|received| Fault {
            rule: "ENV-01".to_owned(),
            line: 1,
            step: "parse, then serialise".to_owned(),
            who: "mpac-wire".to_owned(),
            expected: "the same bytes".to_owned(),
            received,
        });
        Ok(Row::golden(&name, fault))
    };
    names.map(row).collect()
}

/// Reads a message into its types and writes it again, compact and pretty.
fn through_types(text: &str) -> Result<(), String> {
    let received = Received::parse(text, &Limits::default()).map_err(|error| error.to_string())?;
    let mut envelope = received.envelope().clone();
    envelope.payload = envelope.message().map_err(|error| error.to_string())?.to_payload();
    for (written, expected) in
        [(envelope.to_json_pretty(), text.to_owned()), (envelope.to_json(), layout::compact(text))]
    {
        if written != expected {
            return Err(written);
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
