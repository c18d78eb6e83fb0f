//! Certificates: of participants, whose messages are verified by the key in it, and of servers.

use std::io::Write;
use std::path::{Path, PathBuf};

use mpac_wire::{Fingerprint, PrincipalId};
use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SubjectPublicKeyInfo,
};
use rustls::pki_types::{DnsName, ServerName};

use super::authority::{self, Authority};
use super::{CertError, files};
use crate::cli::cert::Issue;

/// `mpac-ws cert issue`.
pub(super) fn run(asked: &Issue, out: &mut impl Write) -> Result<(), CertError> {
    let authority = Authority::open(&asked.ca)?;
    if !asked.server.is_empty() {
        return server(asked, &authority, out);
    }
    let mut params = leaf(asked, &authority)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let wanted = Wanted::of(asked)?;
    let principal = wanted.principal(asked)?;
    params.subject_alt_names = alternative_name(&principal).into_iter().collect();
    params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(principal.to_string()));
    let (_, chain) = authority.sign(&params, &wanted)?;
    let name = file_name(principal.as_str());
    let (path, secret) = places(asked, &name);
    let mut written = vec![(path.as_path(), chain.as_str())];
    let key = wanted.secret();
    written.extend(key.as_ref().map(|key| (secret.as_path(), key.as_str())));
    files::write_new(&written, asked.force)?;
    let (mine, theirs) = match key {
        Some(_) => (format!("  key      {}   (a secret)\n", secret.display()), secret.display().to_string()),
        None => (String::new(), "KEY.pem".to_owned()),
    };
    writeln!(
        out,
        "a certificate for {principal}, good until {day}\n  chain    {chain}\n{mine}  its key  {fingerprint}\n\n\
         Hand {what} to whoever {principal} is. They join with (the server prints both fingerprints when it starts):\n  \
           mpac-agent wss://HOST:8766 {who} --key {theirs} --chain {chain} --pin sha256:... --coordinator-key sha256:...",
        day = params.not_after.date(),
        chain = path.display(),
        fingerprint = Fingerprint::of(wanted.der_bytes()),
        what = if mine.is_empty() { "it" } else { "both files, over a way that nobody else reads," },
        who = as_options(&principal),
    )?;
    Ok(())
}

/// How an agent is told that it is this principal.
fn as_options(principal: &PrincipalId) -> String {
    match principal.as_str().strip_prefix("agent:") {
        Some(name) => format!("--name {}", quoted(name)),
        None => format!("--name NAME --principal-id {}", quoted(principal.as_str())),
    }
}

/// For a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/');
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

fn server(asked: &Issue, authority: &Authority, out: &mut impl Write) -> Result<(), CertError> {
    let mut params = leaf(asked, authority)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for host in &asked.server {
        let name = match ServerName::try_from(host.as_str()) {
            Ok(ServerName::IpAddress(address)) => SanType::IpAddress(std::net::IpAddr::from(address)),
            Ok(ServerName::DnsName(_)) => SanType::DnsName(host.as_str().try_into()?),
            _ => return Err(CertError::Name(host.clone())),
        };
        params.subject_alt_names.push(name);
    }
    params.distinguished_name.push(DnType::CommonName, asked.server[0].as_str());
    // Not every TLS client takes Ed25519, which messages are signed with.
    let key = KeyPair::generate()?;
    let (_, chain) = authority.sign(&params, &key)?;
    let name = file_name(&asked.server[0]);
    let (path, secret) = places(asked, &name);
    files::write_new(&[(&path, &chain), (&secret, &key.serialize_pem())], asked.force)?;
    writeln!(
        out,
        "a certificate for {names}, good until {day}\n  chain  {path}\n  key    {secret}   (a secret)\n\n\
         The server speaks TLS with it when it is started with\n  \
           mpac-ws --tls-cert {path} --tls-key {secret}\n\
         and an agent takes it without --pin when it is told to trust the authority:\n  \
           SSL_CERT_FILE={anchor} mpac-agent wss://{host}:8766 --name NAME",
        names = asked.server.join(", "),
        day = params.not_after.date(),
        path = path.display(),
        secret = secret.display(),
        anchor = authority.certificate.display(),
        host = asked.server[0],
    )?;
    Ok(())
}

fn leaf(asked: &Issue, authority: &Authority) -> Result<CertificateParams, CertError> {
    let mut params = authority::params(&asked.lifetime, Some(authority.until))?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

/// A key that a certificate is made for.
enum Wanted {
    /// Made here.
    New(KeyPair),
    /// Made elsewhere, by somebody who has shown to have it.
    Request(Box<CertificateSigningRequestParams>),
    /// Made elsewhere.
    Public(SubjectPublicKeyInfo),
}

impl PublicKeyData for Wanted {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::New(key) => key.der_bytes(),
            Self::Request(request) => request.public_key.der_bytes(),
            Self::Public(key) => key.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::New(key) => PublicKeyData::algorithm(key),
            Self::Request(request) => PublicKeyData::algorithm(&request.public_key),
            Self::Public(key) => PublicKeyData::algorithm(key),
        }
    }
}

impl Wanted {
    fn of(asked: &Issue) -> Result<Self, CertError> {
        let (path, wanted) = match (&asked.csr, &asked.public_key) {
            (Some(path), _) => (path, Self::request(path)?),
            (None, Some(path)) => (path, Self::public(path)?),
            (None, None) => return Ok(Self::New(authority::new_key()?)),
        };
        if wanted.algorithm() != &rcgen::PKCS_ED25519 {
            let why = "its key is not Ed25519, which signs messages; `mpac-agent key new` makes one";
            return Err(CertError::Request { path: path.clone(), why: why.to_owned() });
        }
        Ok(wanted)
    }

    fn request(path: &Path) -> Result<Self, CertError> {
        let text = files::read(path)?;
        let request =
            CertificateSigningRequestParams::from_pem(&text).map_err(|error| CertError::Request {
                path: path.to_owned(),
                why: format!("{error}; give a certificate request as `mpac-agent key new` makes it"),
            })?;
        Ok(Self::Request(Box::new(request)))
    }

    fn public(path: &Path) -> Result<Self, CertError> {
        let text = files::read(path)?;
        let key = SubjectPublicKeyInfo::from_pem(&text).map_err(|error| CertError::Request {
            path: path.to_owned(),
            why: format!("{error}; give a public key that begins with BEGIN PUBLIC KEY"),
        })?;
        Ok(Self::Public(key))
    }

    /// Whom it is for: whom the operator names, and a request may not name another.
    fn principal(&self, asked: &Issue) -> Result<PrincipalId, CertError> {
        let requested = match self {
            Self::Request(request) => named(&request.params),
            Self::New(_) | Self::Public(_) => None,
        };
        let wrong = |why: String| {
            let path = asked.csr.clone().unwrap_or_default();
            CertError::Request { path, why }
        };
        match (&asked.principal, requested) {
            (Some(given), Some(requested)) if given.as_str() != requested => Err(wrong(format!(
                "it asks for a certificate of {requested}, and not of {given}; ask whoever made it"
            ))),
            (Some(given), _) => Ok(given.clone()),
            (None, Some(requested)) => PrincipalId::new(requested).map_err(|error| wrong(error.to_string())),
            (None, None) => {
                Err(wrong("it names nobody; say for whom it is: cert issue PRINCIPAL".to_owned()))
            }
        }
    }

    /// The private key, where it was made here.
    fn secret(&self) -> Option<String> {
        match self {
            Self::New(key) => Some(key.serialize_pem()),
            Self::Request(_) | Self::Public(_) => None,
        }
    }
}

/// Whom a request names: as a certificate would (D-122).
fn named(params: &CertificateParams) -> Option<String> {
    let alternative = params.subject_alt_names.iter().find_map(|name| match name {
        SanType::URI(text) | SanType::DnsName(text) => Some(text.as_str().to_owned()),
        _ => None,
    });
    alternative.or_else(|| match params.distinguished_name.get(&DnType::CommonName)? {
        DnValue::Utf8String(text) => Some(text.clone()),
        DnValue::PrintableString(text) => Some(text.as_str().to_owned()),
        _ => None,
    })
}

/// The subjectAltName that is this principal's id byte for byte; an id that fits none has its common name only (D-122).
fn alternative_name(principal: &PrincipalId) -> Option<SanType> {
    let text = principal.as_str();
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    let is_uri = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_graphic() && !br#"<>"\^`{|}"#.contains(&byte));
    if is_uri {
        return text.try_into().ok().map(SanType::URI);
    }
    DnsName::try_from(text).ok()?;
    text.try_into().ok().map(SanType::DnsName)
}

/// Where the chain and the key go.
fn places(asked: &Issue, name: &str) -> (PathBuf, PathBuf) {
    let dir = if asked.out == Path::new(".") { Path::new("") } else { &asked.out };
    (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key.pem")))
}

/// A name that every file system takes.
fn file_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    let name: String = text.chars().map(plain).take(100).collect();
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_in_a_certificate_as_what_it_is() {
        let name = |id: &str| alternative_name(&PrincipalId::new(id).unwrap());
        for id in ["agent:bob", "human:ann@example.org", "https://example.org/bob#1"] {
            assert!(matches!(name(id), Some(SanType::URI(text)) if text.as_str() == id), "{id}");
        }
        assert!(matches!(name("bob.example.org"), Some(SanType::DnsName(_))));
        for id in ["agent:bob the builder", "agent:zoë", "1:a", "bob smith", "agent:a{b}", "a:"] {
            assert!(name(id).is_none(), "{id}");
        }
    }

    #[test]
    fn a_file_is_named_after_its_principal_and_nothing_else() {
        assert_eq!(file_name("agent:bob"), "agent-bob");
        assert_eq!(file_name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(file_name("agent:zoë"), "agent-zo-");
    }

    #[test]
    fn what_is_to_be_typed_is_one_word_for_a_shell() {
        let options = |id: &str| as_options(&PrincipalId::new(id).unwrap());
        assert_eq!(options("agent:bob"), "--name bob");
        assert_eq!(options("agent:Bob $(x)'s"), r"--name 'Bob $(x)'\''s'");
        assert_eq!(options("human:ann"), "--name NAME --principal-id human:ann");
    }
}
