//! `cargo xtask walls`: what each crate must not depend on, proved with `cargo tree`, and that the pure ones work alone.
//!
//! The lists of packages are read whole instead of asking `cargo tree -i NAME` once a name: that question is answered
//! with an error both when a package is absent and when it is there in two versions.

use std::collections::BTreeSet;
use std::path::Path;

use crate::step::{self, Failure};

/// What neither the wire nor the core may see: runtimes, sockets, randomness, clocks, logging, command lines.
const OUTSIDE: [&str; 22] = [
    "async-trait",
    "axum",
    "chrono",
    "clap",
    "futures",
    "futures-core",
    "getrandom",
    "hyper",
    "log",
    "mio",
    "rand",
    "rand_core",
    "reqwest",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-tungstenite",
    "toml",
    "tower",
    "tracing",
    "tungstenite",
];

/// Crate, and the crates of ours that it must not reach.
const OURS: [(&str, &[&str]); 4] = [
    ("mpac-wire", &["mpac-core", "mpac-ws", "mpac-agent", "xtask"]),
    ("mpac-core", &["mpac-ws", "mpac-agent", "xtask"]),
    ("mpac-ws", &["mpac-agent", "xtask"]),
    ("mpac-agent", &["mpac-ws", "xtask"]),
];

/// Features of `serde_json` that change behaviour for everybody in the tree.
const BANNED_JSON: [&str; 3] = ["arbitrary_precision", "preserve_order", "unbounded_depth"];

/// Checks every wall and reports all that is broken at once.
///
/// # Errors
/// A wall is broken, or `cargo tree` does not answer.
pub(crate) fn run() -> Result<(), Failure> {
    let mut broken = Vec::new();
    for (name, forbidden) in OURS {
        let pure = name == "mpac-wire" || name == "mpac-core";
        let listing = tree(&["-p", name, "-e", "normal", "-f", "{p}"])?;
        let packages = names(&listing);
        if !packages.contains(name) {
            return Err(Failure::check(format!("`cargo tree -p {name}` does not list {name} itself")));
        }
        let banned = forbidden.iter().chain(if pure { OUTSIDE.as_slice() } else { &[] });
        let reached: Vec<&str> = banned.copied().filter(|other| packages.contains(*other)).collect();
        broken.extend(reached.iter().map(|other| format!("{name} depends on {other}")));
        println!("{name}: {} packages below it, {} of them forbidden", packages.len() - 1, reached.len());
        if pure {
            broken.extend(no_std(name)?);
            broken.extend(alone(name));
            broken.extend(hash_maps(name)?);
        }
    }
    broken.extend(json_features()?);
    if broken.is_empty() { Ok(()) } else { Err(Failure::check(broken.join("\n"))) }
}

/// The files that may name a hash map: they let nobody see in which order that holds things.
const HASHED: [&str; 3] = ["by_id.rs", "by_own_id.rs", "scope/listed.rs"];

/// Where a hash map is named outside of [`HASHED`]: what a session does must not depend on its order.
fn hash_maps(name: &str) -> Result<Vec<String>, Failure> {
    let sources = step::root().join("crates").join(name).join("src");
    let mut found = Vec::new();
    for relative in step::files_below(&sources)? {
        let may = HASHED.iter().any(|it| relative == Path::new(it));
        if !may && step::text(&sources.join(&relative))?.contains("hashbrown") {
            found.push(format!("crates/{name}/src/{} names a hash map", relative.display()));
        }
    }
    Ok(found)
}

/// The compiler is the guard inside the two pure crates: without std no clock or socket can be named.
fn no_std(name: &str) -> Result<Option<String>, Failure> {
    let page = step::text(&step::root().join("crates").join(name).join("src/lib.rs"))?;
    let found = page.lines().any(|line| line.trim() == "#![no_std]");
    Ok((!found).then(|| format!("crates/{name}/src/lib.rs does not say #![no_std]")))
}

/// Whether a crate works by itself: whoever depends on nothing else of ours has none of the features that the adapters, or
/// this crate's own tests, turn on.
fn alone(name: &str) -> Option<String> {
    let args = ["check", "--locked", "--quiet", "-p", name];
    step::run(&mut step::cargo(&args)).err().map(|error| format!("{name} does not work by itself: {error}"))
}

fn json_features() -> Result<Vec<String>, Failure> {
    let listing = tree(&["--workspace", "-e", "normal,build,dev", "-f", "{p} features={f}"])?;
    let lines = listing.lines().filter(|line| line.starts_with("serde_json v"));
    let on: BTreeSet<&str> = lines
        .filter_map(|line| line.rsplit_once("features="))
        .flat_map(|(_, list)| list.trim_end_matches(" (*)").split(','))
        .collect();
    if on.is_empty() {
        return Err(Failure::check("`cargo tree` does not list serde_json"));
    }
    println!("serde_json: features {}", on.iter().copied().collect::<Vec<_>>().join(", "));
    let bad = BANNED_JSON.iter().filter(|feature| on.contains(*feature));
    Ok(bad
        .map(|feature| format!("serde_json is built with {feature}, which changes it for the whole tree"))
        .collect())
}

fn tree(args: &[&str]) -> Result<String, Failure> {
    step::read(step::cargo(&["tree", "--locked", "--prefix", "none"]).args(args))
}

/// First word of each line: the package's name.
fn names(listing: &str) -> BTreeSet<&str> {
    listing.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_package_counts_under_its_name_whatever_its_version() {
        let listing = "mpac-core v0.1.0 (somewhere)\nrand v0.9.5\nrand v0.8.1 (*)\n\n";
        assert_eq!(names(listing).into_iter().collect::<Vec<_>>(), ["mpac-core", "rand"]);
    }
}
