//! Doors for fuzz targets (`fuzz/` at the root, `cargo xtask fuzz`) into what the bytes of strangers reach first, and what is
//! read back from disks. Each takes anything, and panics where a promise is broken.

pub mod credentials;
pub mod log;
pub mod paths;

#[cfg(test)]
mod tests {
    use std::path::Path;

    type Door = fn(&[u8]);

    /// What fuzzing found worth keeping, and everything it ever broke something with.
    #[test]
    fn what_was_found_before_is_still_withstood() {
        let doors: [(&str, Door); 3] = [
            ("credentials", super::credentials::any),
            ("log", super::log::any),
            ("paths", super::paths::any),
        ];
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, door) in doors {
            let files = std::fs::read_dir(corpus.join(name)).unwrap();
            let count = files.map(|file| door(&std::fs::read(file.unwrap().path()).unwrap())).count();
            assert!(count > 0, "{name} has a corpus");
        }
    }
}
