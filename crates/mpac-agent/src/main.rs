//! `mpac-agent`: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = mpac_agent::cli::parse::parse(std::env::args_os()).unwrap_or_else(|error| error.exit());
    // One provider for the socket and for HTTP. A second one installed elsewhere would make this fail.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is installed already; this build is broken");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}; are there file descriptors and threads left?");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(mpac_agent::run(cli));
    // A read of standard input cannot be called off, and what ended without it must not wait for it.
    runtime.shutdown_background();
    ExitCode::from(code)
}
