//! The authenticated profile: nobody comes in who cannot prove who they are.

mod certificates;
mod evidence;
mod honest;
mod keys;
pub(crate) mod people;
mod rotation;
mod sight;
mod strangers;
mod tls;
mod tokens;
mod verified;

use std::io::Write;
use std::path::Path;

use clap::Parser;
use mpac_ws::cli::{Command, Settings};
use mpac_ws::error::Error;
use mpac_ws::token;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::rig::{Host, host};

/// A place for a server's data.
pub(crate) fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// `mpac-ws token …` or `mpac-ws invite …` on the keys of the server that has its data in `dir`: what it prints.
pub(crate) fn command(dir: &Path, words: &[&str]) -> Result<String, Error> {
    let mut out = Vec::new();
    command_to(&mut out, dir, words)?;
    Ok(String::from_utf8(out).unwrap())
}

/// The same, printed there.
pub(crate) fn command_to(out: &mut impl Write, dir: &Path, words: &[&str]) -> Result<(), Error> {
    let dir = format!("--data-dir={}", dir.display());
    let settings = Settings::try_parse_from([&["mpac-ws"], words, &[&dir]].concat()).unwrap();
    match settings.command.unwrap() {
        Command::Token(command) => token::run(&command, out),
        Command::Invite(options) => token::invite(&options, out),
        other => panic!("{other:?}"),
    }
}

/// The secret in what was printed.
pub(crate) fn secret(printed: &str) -> String {
    let from = printed.find("mpac_").unwrap();
    printed[from..].split_whitespace().next().unwrap().to_owned()
}

/// The name of the key in a secret.
pub(crate) fn id(secret: &str) -> &str {
    secret.split('_').nth(1).unwrap()
}

/// A credential of type `api_key`.
pub(crate) fn api_key(secret: &str) -> Value {
    json!({"type": "api_key", "value": secret})
}

/// An authenticated server with its data in `dir`.
pub(crate) async fn server(dir: &Path, flags: &[&str]) -> Host {
    let dir = format!("--data-dir={}", dir.display());
    host(&[&["--security-profile=authenticated", &dir], flags].concat()).await
}

/// The answer to a HELLO on a connection of its own: SESSION_INFO, or the code of the refusal.
pub(crate) async fn said(host: &Host, path: &str, who: &str, credential: Value) -> String {
    let mut client = host.connect(path).await.counts_anew();
    if let Some(session) = path.strip_prefix("/session/") {
        client.session = session.to_owned();
    }
    let answer = client.hello_with(who, credential).await;
    match answer["payload"]["error_code"].as_str() {
        Some(code) => code.to_owned(),
        None => answer["message_type"].as_str().unwrap().to_owned(),
    }
}
