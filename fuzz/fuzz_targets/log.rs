//! The log of a session, read back: any bytes, a good log that was changed, and good records with any entry in them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mpac_ws::fuzzing::log::any(bytes));
