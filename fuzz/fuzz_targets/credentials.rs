//! What strangers show, and the files that it is held against: nobody is let in, and nothing breaks.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mpac_ws::fuzzing::credentials::any(bytes));
