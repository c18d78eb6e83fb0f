//! Paths of a handshake and names of files: none of them leads out.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mpac_ws::fuzzing::paths::any(bytes));
