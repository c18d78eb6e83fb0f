//! `cargo xtask model`: every order of a few actions of a few people, on the coordinator itself, within fixed bounds.
//!
//! The explorers are tests of `mpac-core` (`tests/it/model.rs`, and `succession.rs` for two coordinators of one session),
//! which tell what is left out and why; this runs them further than `cargo test` does, and shows how much there was to
//! see.

use crate::step::{self, Failure};

/// What a run may be told.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// So many actions deep in every setting, optimised; without it as deep as the bounds of `cargo xtask ci` say.
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Run only settings whose name contains this text, such as `claiming` or `0.1.15`.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// Explores, and prints a line for each setting.
///
/// # Errors
/// Something does not hold: the shortest way to it was printed.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let mut args = vec!["test", "-q", "--package", "mpac-core", "--test", "it"];
    if options.depth.is_some() {
        println!("building the optimised explorer first: some minutes when it was never built");
        args.push("--release"); // worth its compilation
    }
    args.extend(["--", "model::", "succession::", "--nocapture", "--test-threads", "1"]);
    let depth = options.depth.map_or_else(|| "ci".to_owned(), |depth| depth.to_string());
    let only = options.only.clone().unwrap_or_default();
    step::run(step::cargo(&args).env("MPAC_MODEL_DEPTH", depth).env("MPAC_MODEL_ONLY", only))
}
