//! A certificate that the server makes for itself, once: clients pin it, there is nobody who vouches for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use time::{Duration, OffsetDateTime};

use super::tls::TlsError;
use crate::clock;
use crate::store::{private_dirs, whole};

/// How long one is good: whoever pins it is asked to pin another one only when the key is replaced.
const YEARS: i64 = 10;

/// The files of the certificate and of the key in `dir`, which are made if they are not there; `names` are the hosts and
/// addresses under which clients will look for the server.
///
/// # Errors
/// When they cannot be made or written.
pub(crate) fn at(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    // An empty one is what a full disk or a crash left of an earlier try.
    let is_there = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() > 0);
    if !(is_there(&certificate) && is_there(&key)) {
        let failed = |error: io::Error| TlsError::SelfSigned(format!("{}: {error}", dir.display()));
        let (certificate_pem, key_pem) =
            make(names).map_err(|error| TlsError::SelfSigned(error.to_string()))?;
        private_dirs().create(dir).map_err(failed)?;
        // The key first: a certificate says that both are there, and each is there as a whole.
        whole::write(dir, "key.pem", key_pem.as_bytes()).map_err(failed)?;
        whole::write(dir, "cert.pem", certificate_pem.as_bytes()).map_err(failed)?;
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
    fn one_that_was_begun_and_not_written_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = at(dir.path(), &[]).unwrap();
        fs::write(&certificate, "").unwrap();
        at(dir.path(), &[]).unwrap();
        Tls::from_files(certificate, key).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "and nothing beside them");
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
