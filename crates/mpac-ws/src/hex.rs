//! Bytes as hexadecimal text: hashes, and randomness of the operating system.

use std::io;

use sha2::{Digest, Sha256};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| digits(byte)).collect()
}

fn digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 0x0f].map(|nibble| char::from(DIGITS[usize::from(nibble)]))
}

/// The SHA-256, in 64 digits.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether these 64 digits are the SHA-256.
pub(crate) fn is_sha256(bytes: &[u8], sum: &str) -> bool {
    Sha256::digest(bytes).into_iter().flat_map(digits).eq(sum.chars())
}

/// That many random bytes, in twice as many digits.
///
/// # Errors
/// When the system has none to give.
pub(crate) fn random<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_two_digits() {
        assert_eq!(hex(&[0, 0x0f, 0xff]), "000fff");
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let sum = sha256("abc");
        assert!(is_sha256(b"abc", &sum) && !is_sha256(b"abd", &sum));
        assert!(!is_sha256(b"abc", &sum[1..]) && !is_sha256(b"abc", &sum.to_uppercase()));
        assert_eq!(random::<16>().unwrap().len(), 32);
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
