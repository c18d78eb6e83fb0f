//! `cargo xtask bench recovery`: how long a server takes until it listens again: over a long log, and with many files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::future::try_join_all;
use tokio::sync::Barrier;

use super::client::Client;
use super::report;
use super::server::{Ours, memory};
use super::table::{Row, Target};
use crate::step::{self, Failure, say};

/// Those who fill the log.
const PARTICIPANTS: u32 = 50;
/// Messages that one sends before it listens.
const WINDOW: u64 = 20;
/// Between two lines about how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Inputs in the log.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    inputs: u64,
    /// Files in the workspace.
    #[arg(long, default_value_t = 50_000)]
    files: u32,
    /// Bytes of each.
    #[arg(long, default_value_t = 4000)]
    file_bytes: usize,
    /// Write rows there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`].
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let ours = Ours::build()?;
    let dir = tempfile::tempdir_in(step::target()).map_err(Failure::io("make a directory"))?;
    let bench = Bench { options, ours: &ours, dir: dir.path() };
    let mut rows = bench.log()?;
    rows.extend(bench.files()?);
    report::finish("recovery", &rows, &(), options.json.as_deref())
}

struct Bench<'a> {
    options: &'a Options,
    ours: &'a Ours,
    dir: &'a Path,
}

/// A start: seconds, and bytes of memory at its most.
struct Start {
    seconds: f64,
    most: f64,
}

impl Bench<'_> {
    fn log(&self) -> Result<Vec<Row>, Failure> {
        let (empty, _) = self.start(&["--data-dir", "empty"])?;
        say(&format!("a log of {} inputs is written", self.options.inputs));
        let filling = self.fill()?;
        let millions = self.options.inputs as f64 / 1e6;
        let (newest, _) = self.start(&["--data-dir", "data"])?;
        say("without its snapshots, from the first entry on");
        forget_snapshots(&self.dir.join("data"))?;
        let (whole, bytes) = self.start(&["--data-dir", "data"])?;
        let verified = Instant::now();
        let mut verify = Command::new(&self.ours.program);
        step::read(verify.args(["audit", "verify", "--data-dir", "data"]).current_dir(self.dir))?;
        let verified = verified.elapsed().as_secs_f64();
        Ok(vec![
            Row::new("write a million inputs, durable", "s", filling / millions, whole.seconds / millions)
                .beside("recovering them"),
            Row::new("start after kill -9, by snapshot", "s", newest.seconds, empty.seconds)
                .beside("an empty start"),
            Row::new("start from entry 1, per million", "s", whole.seconds / millions, empty.seconds)
                .beside("an empty start"),
            Row::new("audit verify, per million", "s", verified / millions, whole.seconds / millions)
                .beside("recovering them"),
            Row::new("memory at its most, from entry 1", "MiB", whole.most / MIB, bytes / MIB)
                .beside("the log on disk"),
            Row::new("log on disk", "bytes", bytes / self.options.inputs as f64, 1.0).beside("an input"),
        ])
    }

    fn files(&self) -> Result<Vec<Row>, Failure> {
        let Options { files, file_bytes, .. } = *self.options;
        say(&format!("a workspace of {files} files of {file_bytes} bytes"));
        let workspace = self.dir.join("workspace");
        let text = "fn work() { todo() }\n".repeat(file_bytes / 21 + 1);
        for number in 0..files {
            let folder = workspace.join(format!("src/{}", number / 100));
            fs::create_dir_all(&folder).map_err(Failure::io("make a folder"))?;
            fs::write(folder.join(format!("file_{number}.rs")), &text[..file_bytes])
                .map_err(Failure::io("write a file"))?;
        }
        let bytes = f64::from(files) * file_bytes as f64;
        let most = format!("{:.0}", bytes + 1.0);
        let (empty, _) = self.start(&["--durability", "none"])?;
        let (full, _) = self.start(&[
            "--durability",
            "none",
            "--workspace",
            "workspace",
            "--max-workspace-bytes",
            &most,
        ])?;
        Ok(vec![
            Row::new(format!("start with {files} files"), "s", full.seconds, empty.seconds)
                .beside("an empty start"),
            Row::new(
                "memory at its most, more than empty",
                "MiB",
                (full.most - empty.most) / MIB,
                bytes / MIB,
            )
            .beside("the files' bytes")
            .target(Target::AtMost(1.5)),
        ])
    }

    /// Starts a server, and kills it once it listens; also says how many bytes its data directory has.
    fn start(&self, options: &[&str]) -> Result<(Start, f64), Failure> {
        let began = Instant::now();
        let (server, _) = self.ours.serve(options, self.dir)?;
        let seconds = began.elapsed().as_secs_f64();
        let (_, most) = memory(&server)?;
        drop(server);
        let data = self.dir.join("data");
        let bytes = if data.is_dir() { size(&data)? } else { 0.0 };
        Ok((Start { seconds, most }, bytes))
    }

    /// Fills the log through sockets, and kills the server; gives the seconds that it took.
    fn fill(&self) -> Result<f64, Failure> {
        let (server, url) =
            self.ours.serve(&["--data-dir", "data", "--queue-frames", "1000000"], self.dir)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::io("start a runtime"))?;
        let began = Instant::now();
        runtime.block_on(async {
            let mut all = Vec::new();
            for number in 0..PARTICIPANTS {
                all.push(Client::join(&url, "default", &format!("p{number}")).await?);
            }
            let each = self.options.inputs / u64::from(PARTICIPANTS);
            let together = Arc::new(Barrier::new(all.len()));
            // Tasks of their own: what shares one shares its budget.
            let writing = all.into_iter().enumerate().map(|(at, one)| {
                let writing = tokio::spawn(write(one, at, each, Arc::clone(&together)));
                async { writing.await.map_err(|error| Failure::check(error.to_string()))? }
            });
            // The first that fails, because the others wait for it.
            try_join_all(writing).await.map(drop)
        })?;
        drop(server);
        Ok(began.elapsed().as_secs_f64())
    }
}

const MIB: f64 = 1024.0 * 1024.0;

/// Announces and withdraws, a window at a time, and all begin the next one `together`: whoever is ahead would otherwise write
/// what those behind have to read before they hear their own, and the last of them falls back until it is hung up on.
async fn write(mut one: Client, at: usize, count: u64, together: Arc<Barrier>) -> Result<(), Failure> {
    let mut told = Instant::now();
    for number in 0..count {
        let (id, intent) = (format!("m-{at}-{number}"), format!("i-{at}-{}", number / 2));
        if number % 2 == 0 {
            one.announce(&id, &intent, "fill the log").await?;
        } else {
            one.withdraw(&id, &intent).await?;
        }
        if number % WINDOW == WINDOW - 1 || number + 1 == count {
            one.until(&id).await?;
            together.wait().await;
        }
        if at == 0 && told.elapsed() > PROGRESS {
            told = Instant::now();
            say(&format!("  {:.0} %", number as f64 / count as f64 * 100.0));
        }
    }
    Ok(())
}

/// Takes away all that recovery could begin from behind the first entry.
fn forget_snapshots(data: &Path) -> Result<(), Failure> {
    for relative in step::files_below(data)? {
        let name = relative.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("snapshot-") || name.starts_with("base-") {
            fs::remove_file(data.join(relative)).map_err(Failure::io("remove a snapshot"))?;
        }
    }
    Ok(())
}

fn size(dir: &Path) -> Result<f64, Failure> {
    let mut bytes = 0;
    for relative in step::files_below(dir)? {
        bytes += fs::metadata(dir.join(relative)).map_err(Failure::io("look at a file"))?.len();
    }
    Ok(bytes as f64)
}
