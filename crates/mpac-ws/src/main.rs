//! `mpac-ws`: share a directory with the agents of several people.

use std::io::Write;
use std::pin::pin;
use std::process::ExitCode;

use mimalloc::MiMalloc;
use mpac_ws::cli::standby::Standby;
use mpac_ws::cli::{Command, Settings};
use mpac_ws::error::Error;
use mpac_ws::server::Server;
use mpac_ws::stderr::Stderr;
use mpac_ws::{ask, audit, backup, cert, close, config, drive, repair, signing_key, standby, store, token};
use tokio::runtime::{Builder, Runtime};

/// A third less for a conflict than with the system's, which walks through all that was freed whenever a text of more than
/// 1 KiB is written.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let stderr = Stderr::open();
    let code = match run(&stderr) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Usage(help)) if !help.use_stderr() => {
            // Somebody closed the pipe before the end of the help: they have read enough.
            let _ = help.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            stderr.say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    };
    let lost = stderr.lost();
    if lost > 0 {
        stderr.say(&format!("warning: {lost} lines of this log were lost: stderr was not read fast enough"));
    }
    code
}

/// A line on stdout, for whoever reads it.
fn say_out(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn run(stderr: &Stderr) -> Result<(), Error> {
    // There is one in the tree; that it is there already would be no mistake.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = config::load(std::env::args_os())?;
    if let Some(Command::Drive(options)) = &settings.command {
        let longest = usize::try_from(options.max_line_bytes).unwrap_or(usize::MAX);
        return drive::run(&mut std::io::stdin().lock(), &mut std::io::stdout().lock(), longest)
            .map_err(|source| Error::Io { step: "driving", source });
    }
    if let Some(Command::Audit(asked)) = &settings.command {
        return audit::run(asked, &mut std::io::stdout().lock());
    }
    let standby = match &settings.command {
        Some(Command::Standby(rest)) => Some(config::standby(rest)?),
        _ => None,
    };
    stderr.log(&standby.as_ref().map_or(&settings, |standby| &standby.server).log)?;
    if let Some(Command::Repair(options)) = &settings.command {
        return repair::run(options, &mut std::io::stdout().lock());
    }
    let mut stdout = std::io::stdout();
    match &settings.command {
        Some(Command::Token(command)) => return token::run(command, &mut stdout),
        Some(Command::Invite(options)) => return token::invite(options, &mut stdout),
        Some(Command::Cert(command)) => return Ok(cert::run(command, &mut stdout)?),
        _ => {}
    }
    let threads = standby.as_ref().map_or(&settings, |standby| &standby.server).threads;
    let runtime = runtime(threads).map_err(|source| Error::Io { step: "starting the runtime", source })?;
    let outcome = runtime.block_on(async {
        let done = match &settings.command {
            Some(asked) => command(asked).await,
            None => None,
        };
        match done {
            Some(done) => done.map(|text| say_out(&text)),
            None => serve(settings, standby).await,
        }
    });
    // A read that hangs, on a network drive perhaps, must not keep the process alive.
    runtime.shutdown_background();
    outcome
}

/// With so many threads, or one for each core. One thread gets the scheduler for one: with it, ten clients get 1.03 to 1.15 times the
/// deliveries that the scheduler for several makes with one.
fn runtime(threads: Option<u16>) -> std::io::Result<Runtime> {
    let is_one = threads.map_or_else(
        || std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1),
        |threads| threads == 1,
    );
    let mut builder = if is_one { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if let Some(threads) = threads {
        builder.worker_threads(threads.into());
    }
    builder.enable_all().build()
}

async fn serve(settings: Settings, standby: Option<Standby>) -> Result<(), Error> {
    let mut stop = pin!(stop_signal()?);
    let wait = settings.wait;
    let started = match standby {
        Some(standby) => standby::run(standby, stop.as_mut()).await?,
        None => tokio::select! {
            server = bound(settings, wait) => Some(server?),
            () = &mut stop => None,
        },
    };
    let Some(server) = started else { return Ok(()) };
    let mut stdout = std::io::stdout();
    // Whoever closed stdout does not want the banner; the server is for those who connect.
    let _ = write!(stdout, "{}", server.banner()).and_then(|()| stdout.flush());
    server.run(stop).await
}

/// The server, at once or as soon as another one lets go of the data directory.
async fn bound(settings: Settings, wait: bool) -> Result<Server, Error> {
    loop {
        if wait {
            store::wait_for(&settings).await?;
        }
        match Server::bind(settings.clone()).await {
            // Somebody else waited as well, and was faster.
            Err(Error::DataDirTaken { .. }) if wait => {}
            outcome => return outcome,
        }
    }
}

/// A command that needs the network and no server.
async fn command(command: &Command) -> Option<Result<String, Error>> {
    match command {
        Command::TakeOver(options) => Some(ask::take_over(options).await),
        Command::Backup(options) => Some(backup::run(options).await),
        Command::Status(whose) => Some(ask::status(whose).await),
        Command::Close(options) => Some(close::run(options).await),
        Command::SigningKey(asked) => Some(signing_key::run(asked).await),
        _ => None,
    }
}

/// Completes at the first SIGINT or SIGTERM. After that the next one ends the process without waiting for anybody, even where the
/// only thread that could hear of it hangs.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use signal_hook::flag::register_conditional_shutdown;
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |source| Error::Io { step: "listening for signals", source };
    let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
    let listen = |kind| signal(kind).map_err(failed);
    let (mut interrupted, mut terminated) = (listen(interrupt)?, listen(terminate)?);
    let stopping = Arc::new(AtomicBool::new(false));
    for kind in [interrupt, terminate] {
        register_conditional_shutdown(kind.as_raw_value(), 130, Arc::clone(&stopping)).map_err(failed)?;
    }
    Ok(async move {
        tokio::select! { _ = interrupted.recv() => {}, _ = terminated.recv() => {} }
        stopping.store(true, Ordering::SeqCst);
    })
}

/// Completes at the first Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    Ok(async {
        // Without a signal to wait for there is nothing to do but to go on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
