//! A server of a scene: its directories, its flags, and what its files look like.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::people::ANCHORS;
use super::scene::{Profile, Stage};
use super::wire::{Socket, Wire};
use crate::interop::url_in;
use crate::peer::Peer;
use crate::step::{self, Failure};

/// For a server to start, and to stop.
pub(super) const START: Duration = Duration::from_secs(60);
/// Where things lie below the scene's root.
pub(super) const CWD: &str = "cwd";
pub(super) const DATA: &str = "data";
pub(super) const SHARE: &str = "share";
pub(super) const OTHERS: &str = "others";

pub(super) fn open(
    address: SocketAddr,
    tls: Option<&Arc<ClientConfig>>,
    path: &str,
) -> Result<Socket, Failure> {
    Socket::open(Wire::dial(address, tls)?, path, &[]).map(|(socket, _)| socket)
}

pub(super) fn command(root: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(step::target().join("debug/mpac-ws"));
    command.current_dir(root.join(CWD)).args(words).arg("--data-dir").arg(root.join(DATA));
    command.env("HOME", root.join("home")).env("TMPDIR", root.join("tmp")).env_remove("XDG_STATE_HOME");
    command
}

pub(super) fn start(root: &Path, stage: &Stage, port: u16) -> Result<(Peer, String, SocketAddr), Failure> {
    let mut command = command(root, &["--port", &port.to_string()]);
    command.arg("--workspace").arg(root.join(SHARE)).args(stage.flags);
    match stage.profile {
        Profile::Open => {}
        Profile::Authenticated => drop(command.args(["--security-profile", "authenticated"])),
        Profile::Verified => {
            command.args(["--security-profile", "verified", "--trust-anchors", ANCHORS]);
            command.args(["--role-policy", r#"{"default_role":"contributor"}"#]);
        }
    }
    if stage.tls {
        command.arg("--tls-self-signed");
    }
    let server = Peer::start("server", &mut command, None)?;
    let url = server.wait_for("its address", START, url_in);
    let url = url.map_err(|failure| Failure::check(format!("{failure}\n{}", server.tail(20))))?;
    let address = url.split('/').nth(2).and_then(|address| address.parse().ok());
    let address = address.ok_or_else(|| Failure::check(format!("no address in {url}")))?;
    Ok((server, url, address))
}

pub(super) fn add_key(root: &Path, name: &str, more: &[&str]) -> Result<String, Failure> {
    let said = step::read(&mut command(root, &[&["token", "add", name], more].concat()))?;
    let secret = said.split_whitespace().find(|word| word.starts_with("mpac_"));
    secret.map(str::to_owned).ok_or_else(|| Failure::check(format!("no key was made: {said}")))
}

/// A client that trusts this certificate and no other.
pub(super) fn trusting(certificate: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::check(format!("{}: {error}", certificate.display()));
    let mut roots = RootCertStore::empty();
    let read = CertificateDer::from_pem_file(certificate).map_err(|error| failed(&error))?;
    roots.add(read).map_err(|error| failed(&error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(&error))?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

pub(super) fn output(server: &Peer) -> String {
    server.lines().iter().map(|line| format!("{}\n", line.text)).collect()
}

/// Every file that has to stay as it is.
pub(super) fn contents(root: &Path, stage: &Stage) -> Result<BTreeMap<PathBuf, Vec<u8>>, Failure> {
    let mut found = BTreeMap::new();
    for path in step::files_below(root)? {
        if path.starts_with(DATA) || stage.writes && path.starts_with(SHARE) {
            continue;
        }
        let content =
            std::fs::read(root.join(&path)).map_err(Failure::io(format!("read {}", path.display())))?;
        found.insert(path, content);
    }
    Ok(found)
}
