//! A stream's file, read in parts that are kept in memory while they are measured.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Failure;

/// `NAME.meta.json`.
#[derive(Deserialize)]
pub(crate) struct Meta {
    pub(crate) session_id: String,
    pub(crate) workload: String,
    /// In the order of the file, with their lines.
    pub(crate) phases: Vec<(String, usize)>,
}

/// An open stream.
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    pub(crate) meta: Meta,
    reader: BufReader<File>,
}

/// Lines in memory, and where each ends.
#[derive(Default)]
pub(crate) struct Part {
    text: String,
    ends: Vec<usize>,
}

impl Input {
    /// # Errors
    /// The stream or its description is not there or cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let meta = path.with_extension("meta.json");
        let about = fs::read(&meta).map_err(Failure::io("read", &meta))?;
        let meta = serde_json::from_slice(&about)
            .map_err(|error| Failure::Stream { path: meta, problem: error.to_string() })?;
        let file = File::open(path).map_err(Failure::io("read", path))?;
        Ok(Self { path: path.to_path_buf(), meta, reader: BufReader::new(file) })
    }

    /// Replaces what `part` holds by the next `lines` lines.
    ///
    /// # Errors
    /// The file cannot be read, or has not so many.
    pub(crate) fn next(&mut self, lines: usize, part: &mut Part) -> Result<(), Failure> {
        part.text.clear();
        part.ends.clear();
        for _ in 0..lines {
            let read = self.reader.read_line(&mut part.text);
            let read = read.map_err(|error| Failure::io("read", &self.path)(error))?;
            if read == 0 {
                let problem = "the file ends before its phases do".to_owned();
                return Err(Failure::Stream { path: self.path.clone(), problem });
            }
            part.ends.push(part.text.len());
        }
        Ok(())
    }
}

impl Part {
    /// The lines, without what ends them.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.text[start..*end].trim_end())
    }
}
