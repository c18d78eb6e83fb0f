//! A certificate that the server makes for itself, once: clients pin it, there is nobody who vouches for it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::{Duration, OffsetDateTime};

use super::tls::TlsError;
use crate::clock;

/// How long one is good: whoever pins it is asked to pin another one only when the key is replaced.
const YEARS: i64 = 10;

/// The files of the certificate and of the key in `dir`, which are made if they are not there; `names` are the hosts and
/// addresses under which clients will look for the server.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn at(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if !(certificate.exists() && key.exists()) {
        let failed = |error: io::Error| TlsError::SelfSigned(format!("{}: {error}", dir.display()));
        let (certificate_pem, key_pem) =
            make(names).map_err(|error| TlsError::SelfSigned(error.to_string()))?;
        private_dir(dir).map_err(failed)?;
        // The key first: a certificate says that both are there.
        write(&key, &key_pem).and_then(|()| write(&certificate, &certificate_pem)).map_err(failed)?;
    }
    Ok((certificate, key))
}

fn make(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut names: Vec<String> = names.to_vec();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.sort();
    names.dedup();
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    let now = OffsetDateTime::UNIX_EPOCH + Duration::microseconds(clock::now().micros());
    // Clocks differ: it is good for somebody who is a day behind.
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(365 * YEARS);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "mpac-ws");
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(dir)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Half of one from an earlier try is no use to anybody.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::tls::Tls;

    #[test]
    fn one_is_made_once_and_can_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("tls");
        let (certificate, key) = at(&dir, &["10.0.0.7".to_owned(), "shop.example".to_owned()]).unwrap();
        let first = Tls::from_files(certificate.clone(), key.clone()).unwrap().fingerprint();
        assert!(first.starts_with("sha256:") && first.len() == 71, "{first}");
        assert_eq!(at(&dir, &[]).unwrap(), (certificate.clone(), key.clone()));
        let tls = Tls::from_files(certificate.clone(), key.clone()).unwrap();
        assert_eq!(tls.fingerprint(), first, "the same again");
        fs::remove_file(&certificate).unwrap();
        at(&dir, &[]).unwrap();
        assert_ne!(tls.fingerprint(), first, "a new one counts at once");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = at(&dir.path().join("a"), &[]).unwrap();
        let (_, other) = at(&dir.path().join("b"), &[]).unwrap();
        let refused = |certificate: &Path, key: &Path| {
            Tls::from_files(certificate.to_owned(), key.to_owned()).unwrap_err().to_string()
        };
        assert!(refused(&certificate, &other).contains("cannot be used together"));
        assert!(refused(&key, &key).contains("no certificate in it"));
        assert!(refused(&dir.path().join("none"), &key).contains("none"));
        assert!(refused(&certificate, &certificate).contains("give a PEM file"));
        let tls = Tls::from_files(certificate.clone(), key).unwrap();
        let before = tls.fingerprint();
        fs::write(&certificate, "rubbish").unwrap();
        assert_eq!(tls.fingerprint(), before, "the last good one stays");
    }
}
