//! `mpac-agent key`: a key that never leaves its machine, and the request by which an authority certifies it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mpac_wire::PrincipalId;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, SanType};

use crate::cli::Key;
use crate::error::AgentError;
use crate::key_file::KeyFile;
use crate::private_file;
use crate::signing::Signing;

/// Does what was asked, and gives the words that say so.
///
/// # Errors
/// [`AgentError::Usage`] when a file is there already, or cannot be read or written; then nothing has changed.
pub(crate) fn run(asked: &Key) -> Result<String, AgentError> {
    match asked {
        Key::New(new) => {
            let id = new.principal_id.clone().unwrap_or_else(|| format!("agent:{}", new.name));
            let principal = PrincipalId::new(id).map_err(|_| {
                AgentError::Usage("--principal-id is empty; leave it out or give one".to_owned())
            })?;
            let path =
                new.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.key.pem", stem(&principal))));
            make(&principal, &path, &new.name)
        }
        Key::Show(show) => {
            let file = KeyFile::open(&show.file)?;
            let fingerprint = file.current().public().fingerprint();
            Ok(format!("public key   {}\nfingerprint  {fingerprint}\n", file.current().public()))
        }
    }
}

fn make(principal: &PrincipalId, path: &Path, name: &str) -> Result<String, AgentError> {
    let failed = |path: &Path, why: &dyn std::fmt::Display| {
        AgentError::Usage(format!("{}: {why}; name another file with --out", path.display()))
    };
    let key = Signing::generate().ok_or_else(|| {
        AgentError::Usage("this system gives no randomness, so no key can be made".to_owned())
    })?;
    let made =
        key.to_pair().and_then(|pair| Ok((request(principal)?.serialize_request(&pair)?.pem()?, pair)));
    let (request, pair) = made.map_err(|error| failed(path, &error))?;
    let beside = path.with_extension("").with_extension("csr.pem");
    for (path, text) in [(path, &pair.serialize_pem()), (&beside, &request)] {
        private_file::write_new(path, text).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => failed(path, &"it is there already"),
            _ => failed(path, &error),
        })?;
    }
    Ok(format!(
        "a key for {principal}\n  key          {key}   (a secret: it stays here)\n  request      {request}\n  fingerprint  {fingerprint}\n\n\
         Send the request to whoever runs the coordinator, and tell them the fingerprint over another way. They run\n  \
           mpac-ws cert issue --csr {request}\n\
         and send you a certificate, with which you join:\n  \
           mpac-agent wss://HOST:8766 --name {name} --key {key} --chain CERTIFICATE.pem --pin sha256:... --coordinator-key sha256:...\n",
        key = path.display(),
        request = beside.display(),
        fingerprint = key.public().fingerprint(),
        name = name,
    ))
}

/// Asks for a certificate that names the principal as D-122 has it.
fn request(principal: &PrincipalId) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(principal.to_string()));
    let is_uri =
        principal.as_str().contains(':') && principal.as_str().bytes().all(|byte| byte.is_ascii_graphic());
    if is_uri {
        params.subject_alt_names = vec![SanType::URI(principal.as_str().try_into()?)];
    }
    Ok(params)
}

/// A name that every file system takes.
fn stem(principal: &PrincipalId) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    principal.as_str().chars().map(plain).take(100).collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once() {
        let dir = std::env::temp_dir().join(format!("mpac-new-key-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("bob.key.pem");
        let principal = PrincipalId::new("agent:bob").unwrap();
        let told = make(&principal, &path, "bob").unwrap();
        let fingerprint = KeyFile::open(&path).unwrap().current().public().fingerprint().to_string();
        assert!(told.contains(&fingerprint) && told.contains("bob.csr.pem"), "{told}");
        let request = std::fs::read_to_string(dir.join("bob.csr.pem")).unwrap();
        let request = rcgen::CertificateSigningRequestParams::from_pem(&request).unwrap();
        assert_eq!(request.params.subject_alt_names, [SanType::URI("agent:bob".try_into().unwrap())]);
        let before = std::fs::read(&path).unwrap();
        assert!(make(&principal, &path, "bob").unwrap_err().to_string().contains("--out"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn names_that_no_file_has_are_made_into_some() {
        let stem = |id: &str| stem(&PrincipalId::new(id).unwrap());
        assert_eq!([stem("agent:bob"), stem("../a b")], ["agent-bob", "-a-b"]);
    }
}
