//! The other form of a certificate: of an ECDSA signature (r, s) anybody can make (r, n - s), which is as good, n being the order
//! of the issuer's curve. Everything that was signed is the same, and the fingerprint is another one, so what is said of one
//! form has to count for the other.
//!
//! Other signatures that rustls takes have one form, and so has the rest of a certificate, which has to be strict DER.

use rustls::pki_types::CertificateDer;

const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;

/// How the identifiers of ECDSA with any hash begin: 1.2.840.10045.4.
const ECDSA: [u8; 6] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];

/// The orders of P-256, P-384 and P-521. On which of them the issuer's key is does not stand in the certificate.
const ORDERS: [&str; 3] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
];

/// The other form of a certificate, for each curve that its issuer's key can be on; none where it has one form.
pub(super) fn twins(certificate: &CertificateDer<'_>) -> Vec<CertificateDer<'static>> {
    let of_order = |order: &&str| of(certificate, &hex(order)).map(CertificateDer::from);
    ORDERS.iter().filter_map(of_order).collect()
}

/// The other form where this is the order of the issuer's curve.
fn of(certificate: &[u8], order: &[u8]) -> Option<Vec<u8>> {
    let (body, []) = read(SEQUENCE, certificate)? else { return None };
    // What is signed, by which algorithm, and the signature.
    let (_, after) = read(SEQUENCE, body)?;
    let (algorithm, signature) = read(SEQUENCE, after)?;
    let (name, _) = read(OBJECT_ID, algorithm)?;
    let (bits, []) = read(BITS, signature)? else { return None };
    let (pair, []) = read(SEQUENCE, bits.strip_prefix(&[0])?)? else { return None };
    let (r, after) = read(INTEGER, pair)?;
    let (s, []) = read(INTEGER, after)? else { return None };
    if !name.starts_with(&ECDSA) {
        return None;
    }
    let other = write(INTEGER, &integer(&less(order, s)?));
    let pair = write(SEQUENCE, &[write(INTEGER, r), other].concat());
    let bits = write(BITS, &[&[0], &pair[..]].concat());
    let unsigned = body.strip_suffix(signature)?;
    Some(write(SEQUENCE, &[unsigned, &bits].concat()))
}

/// `order - s`, of as many bytes as the order; `None` where `s` is not between 0 and that.
fn less(order: &[u8], s: &[u8]) -> Option<Vec<u8>> {
    let is_negative = s.first().is_none_or(|first| *first >= 0x80);
    let s = unpadded(s);
    if is_negative || s.is_empty() || s.len() > order.len() {
        return None;
    }
    let mut rest = order.to_vec();
    let mut borrowed = false;
    let low_first = s.iter().rev().copied().chain(std::iter::repeat(0));
    for (digit, minus) in rest.iter_mut().rev().zip(low_first) {
        let (once, first) = digit.overflowing_sub(minus);
        let (twice, second) = once.overflowing_sub(u8::from(borrowed));
        (*digit, borrowed) = (twice, first || second);
    }
    (!borrowed && rest.iter().any(|digit| *digit != 0)).then_some(rest)
}

/// The contents of an INTEGER that is not negative, in as few bytes as it needs.
fn integer(digits: &[u8]) -> Vec<u8> {
    let digits = unpadded(digits);
    let sign: &[u8] = if digits.first().is_none_or(|first| *first >= 0x80) { &[0] } else { &[] };
    [sign, digits].concat()
}

fn unpadded(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    digits.get(zeros..).unwrap_or_default()
}

/// The contents of the element that bytes begin with, if it has this tag, and what is behind it.
fn read(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, bytes) = bytes.split_first()?;
    let (length, bytes) = bytes.split_first()?;
    let (length, bytes) = match length {
        0..=0x7f => (usize::from(*length), bytes),
        // No certificate that is taken is longer than two bytes can say.
        0x81..=0x83 => {
            let (digits, bytes) = bytes.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |all, digit| all << 8 | usize::from(*digit)), bytes)
        }
        _ => return None,
    };
    if *first == tag { bytes.split_at_checked(length) } else { None }
}

/// An element with this tag, its length in as few bytes as it needs.
fn write(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let length = unpadded(&length);
    let long = match length {
        [] => vec![0],
        [short @ 0..=0x7f] => vec![*short],
        // Eight bytes at the most.
        many => [&[0x80 | many.len() as u8], many].concat(),
    };
    [&[tag], &long[..], contents].concat()
}

fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
    digits.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |all, it| all << 4 | digit(it))).collect()
}

#[cfg(test)]
mod tests {
    use mpac_wire::Timestamp;
    use rcgen::{
        CertificateParams, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
        PKCS_ECDSA_P521_SHA512, PKCS_ED25519, SignatureAlgorithm,
    };

    use super::*;
    use crate::clock;
    use crate::identity::certificate::Read;
    use crate::identity::certificates::Trusted;
    use crate::identity::chain::{Anchors, Chain};
    use crate::identity::keys::Keys;
    use crate::listen::tls::fingerprint;

    /// A certificate by an authority whose key is of this kind, and who trusts that.
    fn issued(kind: &'static SignatureAlgorithm) -> (CertificateDer<'static>, Anchors) {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate_for(kind).unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
        let leaf = CertificateParams::new(["bob.example".to_owned()]).unwrap();
        let own = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let leaf = leaf.signed_by(&own, &Issuer::new(params, key)).unwrap();
        (leaf.der().clone(), Anchors::at(path).unwrap())
    }

    fn is_good(certificate: &CertificateDer<'static>, anchors: &Anchors) -> bool {
        let chain = Chain::of(certificate.clone());
        let read = Read::of(certificate).unwrap();
        anchors.judge(&chain, &read, clock::now()).is_ok()
    }

    /// The other form that is as good.
    fn other(certificate: &CertificateDer<'static>, anchors: &Anchors) -> CertificateDer<'static> {
        let mut good = twins(certificate).into_iter().filter(|it| is_good(it, anchors));
        let other = good.next().unwrap();
        assert!(good.next().is_none(), "of one curve");
        other
    }

    #[test]
    fn what_is_said_of_a_certificate_counts_for_its_other_form() {
        for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P521_SHA512] {
            // As long as a signature happens to be, with and without a zero before its parts.
            for _ in 0..8 {
                let (one, anchors) = issued(kind);
                let two = other(&one, &anchors);
                assert!(is_good(&one, &anchors) && one != two);
                assert_eq!(other(&two, &anchors), one);
                let (stranger, _) = issued(kind);
                for (said, shown) in [(&one, &two), (&two, &one), (&one, &one)] {
                    let mut keys = Keys::default();
                    keys.bar(fingerprint(said), Timestamp::from_micros(0));
                    assert!(keys.is_barred(shown) && !keys.is_barred(&stranger));
                    keys.trust(Trusted {
                        fingerprint: fingerprint(said),
                        principal: mpac_wire::PrincipalId::new("agent:bob").unwrap(),
                        sessions: None,
                        roles: None,
                        expires_at: None,
                        revoked_at: None,
                    });
                    assert_eq!((keys.said_of(shown).len(), keys.said_of(&stranger).len()), (1, 0));
                }
            }
        }
    }

    #[test]
    fn a_certificate_that_is_not_signed_by_ecdsa_has_one_form() {
        let (certificate, anchors) = issued(&PKCS_ED25519);
        assert!(is_good(&certificate, &anchors));
        assert_eq!(twins(&certificate), []);
    }

    #[test]
    fn what_is_no_certificate_has_no_other_form() {
        let (certificate, _) = issued(&PKCS_ECDSA_P256_SHA256);
        for end in 0..certificate.len() {
            assert_eq!(twins(&CertificateDer::from(certificate[..end].to_vec())), [], "{end}");
        }
        assert_eq!(twins(&CertificateDer::from([&certificate[..], &[0]].concat())), []);
    }

    #[test]
    fn the_difference_is_that_of_numbers() {
        assert_eq!(less(&[1, 0, 0], &[1]), Some(vec![0, 0xff, 0xff]));
        assert_eq!(less(&[1, 0, 0], &[0, 0xff]), Some(vec![0, 0xff, 0x01]));
        for out in [&[][..], &[0], &[1, 0, 0], &[1, 0, 1], &[1, 0, 0, 0], &[0xff]] {
            assert_eq!(less(&[1, 0, 0], out), None, "{out:?}");
        }
        assert_eq!([integer(&[0, 0x80]), integer(&[0, 0x7f])], [vec![0, 0x80], vec![0x7f]]);
        assert_eq!(ORDERS.map(|order| hex(order).len()), [32, 48, 66], "of 256, 384 and 521 bits");
    }
}
