//! `cargo xtask bench slow-reader`: what it costs the others, and the server, when one client stops reading.
//!
//! Those who read are the load generator's, which is exact to some microseconds: all of them in one half of the measurements, all
//! but one in the other. There the last one is kept beside them, has joined, and does not read; its system takes next to nothing
//! for it, so that the server's queue fills.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use super::client::{Client, address};
use super::generator::{Generator, Mode, P50, P99, Task, number};
use super::server::{Ours, memory};
use super::table::{Row, Target};
use super::{median, report};
use crate::step::{self, Failure, say};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory of the measuring tools, with `loadgen` in it
    #[arg(long, value_name = "DIR", env = "MPAC_MEASURE", default_value = "../shared/measure")]
    measure: PathBuf,
    /// Clients, of which one stops reading
    #[arg(long, default_value_t = 11, value_parser = clap::value_parser!(u16).range(3..=200))]
    clients: u16,
    /// Announces a second, and as many withdrawals; one that does not read is hung up on when 10,000 messages wait for it
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Seconds of each measurement, after one of warm-up. With the default rate, about half of them pass before the server's
    /// system takes no more and its own queue fills
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..))]
    seconds: u16,
    /// Rounds, of which the median counts; with and without take turns
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Write rows and single measurements there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Bytes that the system is asked to take for the one that does not read.
const TAKEN: u32 = 4096;

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`], and when the measuring tools are not there.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    // First what is quick, and may not be there.
    let (generator, ours) = (Generator::build(&options.measure)?, Ours::build()?);
    ours.cores.stay_off_the_servers()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::io("start a runtime"))?;
    let (mut all_read, mut one_does_not) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for (is_one_deaf, found) in [(false, &mut all_read), (true, &mut one_does_not)] {
            let it = runtime.block_on(measure(options, &ours, &generator, is_one_deaf))?;
            say(&format!(
                "round {round} of {}: {:<18} p99 {:.3} ms",
                options.rounds,
                name(is_one_deaf),
                number(&it, P99)
            ));
            found.push(it);
        }
    }
    let of = |found: &[Value], pointer| median(found.iter().map(|it| number(it, pointer)).collect());
    let row = |what: &str, unit, pointer| {
        Row::new(what, unit, of(&one_does_not, pointer), of(&all_read, pointer)).beside("when all read")
    };
    let rows = [
        row("p50 of those who read", "ms", P50),
        row("p99 of those who read", "ms", P99).target(Target::AtMost(1.2)),
        row("the server's memory at its most", "MiB", MOST),
    ];
    let raw: Vec<Value> = all_read.iter().chain(&one_does_not).cloned().collect();
    report::finish("slow-reader", &rows, &raw, options.json.as_deref())
}

/// Where the most memory that the server took is, beside what the generator found.
const MOST: &str = "/server_most_mib";

const fn name(is_one_deaf: bool) -> &'static str {
    if is_one_deaf { "one does not read" } else { "all read" }
}

async fn measure(
    options: &Options,
    ours: &Ours,
    generator: &Generator,
    is_one_deaf: bool,
) -> Result<Value, Failure> {
    let dir = tempfile::tempdir_in(step::target()).map_err(Failure::io("make a directory"))?;
    let (server, url) = ours.serve(&["--durability", "none"], dir.path())?;
    let deaf = if is_one_deaf { Some(join_with_little_room(&url).await?) } else { None };
    let task = Task {
        label: name(is_one_deaf),
        session: "default",
        clients: options.clients - u16::from(is_one_deaf),
        mode: Mode::Open { rate: options.rate },
        seconds: options.seconds,
        hello: true,
    };
    // Meanwhile this thread reads nothing.
    let mut found = generator.run(ours.cores, &server, &url, task)?;
    let (_, most) = memory(&server)?;
    if let Some(mut deaf) = deaf {
        let (heard, sent) = (catch_up(&mut deaf).await?, number(&found, "/sent"));
        if (heard as f64) < sent {
            return Err(Failure::check(format!("who did not read was sent {heard} of {sent} messages")));
        }
    }
    if let Some(found) = found.as_object_mut() {
        found.insert(MOST.trim_start_matches('/').to_owned(), json!(most / (1024.0 * 1024.0)));
    }
    Ok(found)
}

/// With nothing more to hear for so long, everything has been heard.
const QUIET: Duration = Duration::from_millis(500);

/// How many frames waited for it. Whoever was hung up on was no slow reader, and is an error.
async fn catch_up(client: &mut Client) -> Result<u64, Failure> {
    let mut heard = 0;
    while let Ok(frame) = timeout(QUIET, client.hear()).await {
        frame?;
        heard += 1;
    }
    Ok(heard)
}

/// Joins by a socket that takes little.
async fn join_with_little_room(url: &str) -> Result<Client, Failure> {
    let connect = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(TAKEN)?;
        socket.connect(address(url).parse().map_err(std::io::Error::other)?).await
    };
    let stream = connect.await.map_err(Failure::io(format!("connect to {url}")))?;
    Client::join_by(stream, url, "default", "deaf").await
}
