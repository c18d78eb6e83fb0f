//! Bytes as hexadecimal text: hashes, and randomness of the operating system.

use std::io;

use sha2::{Digest, Sha256};

/// Two lower-case digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SHA-256, in 64 digits.
pub(crate) fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
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
        assert_eq!(random::<16>().unwrap().len(), 32);
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
