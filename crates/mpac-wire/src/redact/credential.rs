//! What is left of a credential (PRV-05).

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

use super::BLANK;
use crate::credential::is_certificates;
use crate::names::CredentialType;
use crate::scan::{Scanner, quote, unquoted};
use crate::time::Timestamp;

/// A credential without its secret, judged as it was. What is no text is not kept either: somebody may have put the secret there.
pub(super) fn blanked(credential: &str) -> String {
    let Some(members) = members(credential) else {
        return if credential == "null" { "null" } else { "false" }.to_owned();
    };
    let chain = is_chain(&members);
    let mut out = String::from("{");
    for (name, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        quote(&name, &mut out);
        out.push(':');
        match text(value) {
            Some(text) if text.is_empty() || is_no_secret(&name, &text) => out.push_str(value),
            Some(_) if chain && name == "value" => out.push_str(value),
            Some(_) => quote(BLANK, &mut out),
            None if value == "null" => out.push_str(value),
            None => out.push_str("false"),
        }
    }
    out.push('}');
    out
}

/// What everybody may see of a credential: a chain of certificates, of any other its type where it is one of those listed.
pub(crate) fn shown(credential: &str) -> Option<String> {
    let members = members(credential)?;
    if is_chain(&members) {
        return Some(blanked(credential));
    }
    let (_, kind) = members.iter().rfind(|(name, _)| name == "type")?;
    let kind = text(kind).filter(|kind| is_no_secret("type", kind))?;
    Some(alloc::format!(r#"{{"type":"{kind}"}}"#)) // a listed one: without escapes
}

/// An object's members as they came, repeated ones included; `None` of anything else, and where a name cannot be read.
fn members(object: &str) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let mut scanner = Scanner::new(object);
    if scanner.peek() != Some(b'{') {
        return None;
    }
    let mut members = Vec::new();
    scanner.step();
    while !scanner.ends(b'}') {
        let name = unquoted(scanner.quoted()).ok()?;
        scanner.step(); // the colon
        members.push((name, scanner.value()));
    }
    Some(members)
}

/// What a value says, if it is a text.
fn text(value: &str) -> Option<Cow<'_, str>> {
    value.starts_with('"').then(|| unquoted(value).ok()).flatten()
}

/// Whether the credential is one that everybody may see, beyond doubt.
fn is_chain(members: &[(Cow<'_, str>, &str)]) -> bool {
    let only = |name: &str| {
        let mut of_name = members.iter().filter(|(key, _)| key == name);
        text(of_name.next().filter(|_| of_name.next().is_none())?.1)
    };
    let named = only("type").is_some_and(|kind| CredentialType::from(&*kind) == CredentialType::X509Chain);
    named && only("value").is_some_and(|value| is_certificates(&value))
}

/// Whether a member of a credential is what it should be, and no secret that somebody put into the wrong place: a name of
/// a type, a time, an issuer.
fn is_no_secret(key: &str, text: &str) -> bool {
    match key {
        "type" => !matches!(CredentialType::from(text), CredentialType::Other(_)),
        "expires_at" => Timestamp::parse(text).is_ok(),
        "issuer" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{blank_credentials, without_free_text};
    use super::*;

    #[test]
    fn certificates_are_no_secret_and_what_else_calls_itself_a_chain_may_be_one() {
        let chain = r"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let hello = |kind: &str, value: &str| {
            alloc::format!(
                r#"{{"payload":{{"credential":{{"type":"{kind}","value":"{value}","issuer":"i"}}}}}}"#
            )
        };
        let text = hello("x509_chain", chain);
        assert_eq!(blank_credentials(&text).unwrap(), text);
        assert_eq!(without_free_text(&text).unwrap(), text);
        for (kind, value) in [
            ("x509_chain", "s3"),
            ("x509_chain", &alloc::format!("{chain}s3")),
            ("x509_chain", &chain.replace("CERTIFICATE", "PRIVATE KEY")),
            ("api_key", chain),
        ] {
            assert_eq!(blank_credentials(&hello(kind, value)).unwrap(), hello(kind, BLANK));
        }
        let twice = text.replace(r#""value""#, r#""type":"api_key","value""#);
        assert!(!blank_credentials(&twice).unwrap().contains("AAAA"));
        let other = text.replace(r#""issuer""#, r#""value":"s3","issuer""#);
        assert!(!blank_credentials(&other).unwrap().contains("s3"));
    }
}
