//! `cargo xtask bench slow-reader`: what it costs the others, and the server, when one client stops reading.
//!
//! What is measured is what the load generator's clients hear, which is exact to some microseconds. Beside them there is one client
//! more, which reads in one half of the measurements and does not in the other; its system takes next to nothing for it.

use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client::{Client, address};
use super::generator::{Generator, Mode, P50, P99, Task, number};
use super::server::{Ours, memory};
use super::table::{Row, Target};
use super::{median, report};
use crate::step::{Failure, say};

/// What the command is told.
#[derive(Args)]
pub(crate) struct Options {
    /// Directory of the measuring tools, with `loadgen` in it
    #[arg(long, value_name = "DIR", env = "MPAC_MEASURE", default_value = "../shared/measure")]
    measure: PathBuf,
    /// Clients, of which one stops reading; the others are measured
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

/// Bytes that its system is asked to take for it.
const TAKEN: u32 = 4096;

/// Builds, measures, prints.
///
/// # Errors
/// As [`super::run`], and when the measuring tools are not there.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (ours, generator) = (Ours::build()?, Generator::build(&options.measure)?);
    ours.cores.stay_off_the_servers()?;
    // This thread waits for the generator, the worker reads.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::io("start a runtime"))?;
    let (mut all_read, mut one_does_not) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for (one_more, found) in [(OneMore::Reads, &mut all_read), (OneMore::IsDeaf, &mut one_does_not)] {
            let it = runtime.block_on(measure(options, &ours, &generator, one_more))?;
            say(&format!(
                "round {round} of {}: {:<18} p99 {:.3} ms",
                options.rounds,
                one_more.name(),
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

/// The most memory that the server took, beside what the generator found.
const MOST: &str = "/server_most_mib";

/// The client beside those who are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OneMore {
    Reads,
    IsDeaf,
}

impl OneMore {
    const fn name(self) -> &'static str {
        match self {
            Self::Reads => "all read",
            Self::IsDeaf => "one does not read",
        }
    }
}

async fn measure(
    options: &Options,
    ours: &Ours,
    generator: &Generator,
    one_more: OneMore,
) -> Result<Value, Failure> {
    let dir = tempfile::tempdir().map_err(Failure::io("make a directory"))?;
    let (server, url) = ours.serve(&["--durability", "none"], dir.path())?;
    let beside = match one_more {
        OneMore::Reads => Client::join(&url, "default", "beside").await?,
        OneMore::IsDeaf => join_with_little_room(&url).await?,
    };
    let (done, is_done) = oneshot::channel();
    let hearing = tokio::spawn(hear_all(beside, one_more, is_done));
    let task = Task {
        label: one_more.name(),
        clients: options.clients - 1,
        mode: Mode::Open { rate: options.rate },
        seconds: options.seconds,
        hello: true,
    };
    let found = generator.run(ours.cores, &server, &url, task);
    let most = memory(&server);
    // It waits for nothing else, and has ended before only where it was hung up on.
    let _ = done.send(());
    let heard = hearing.await.map_err(|error| Failure::check(error.to_string()))??;
    let (mut found, (_, most)) = (found?, most?);
    // It was not hung up on, and has missed nothing.
    let sent = number(&found, "/sent");
    if (heard as f64) < sent {
        return Err(Failure::check(format!("{}: it heard {heard} of {sent} messages", one_more.name())));
    }
    if let Some(found) = found.as_object_mut() {
        found.insert("server_most_mib".to_owned(), json!(most / (1024.0 * 1024.0)));
    }
    Ok(found)
}

/// With nothing more to hear for so long, everything has been heard.
const QUIET: Duration = Duration::from_millis(500);

/// How many frames it heard until it was told that all is said, or, deaf until then, after that.
async fn hear_all(
    mut client: Client,
    one_more: OneMore,
    done: oneshot::Receiver<()>,
) -> Result<u64, Failure> {
    let mut heard = 0;
    let meanwhile = async {
        if one_more == OneMore::IsDeaf {
            pending::<()>().await;
        }
        loop {
            client.hear().await?;
            heard += 1;
        }
    };
    tokio::select! {
        hung_up = meanwhile => return hung_up,
        _ = done => {}
    }
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
    Client::join_by(stream, url, "default", "beside").await
}
