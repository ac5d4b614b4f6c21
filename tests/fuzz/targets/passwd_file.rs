//! A passwd-file's lines are read or named as wrong, each by its own number.
#![no_main]
use std::{fs, path::PathBuf, sync::LazyLock};

use facteur_directory::{HomeTemplate, PasswdFile, PasswdFileOptions};
use libfuzzer_sys::fuzz_target;

static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::temp_dir().join(format!("facteur-fuzz-passwd-{}", std::process::id()))
});

fuzz_target!(|text: &[u8]| {
    let Ok(home) = HomeTemplate::parse("/mail/%d/%n") else {
        return;
    };
    if fs::write(&*PATH, text).is_err() {
        return;
    }
    let read = PasswdFile::open(PasswdFileOptions {
        path: PATH.clone(),
        domains: Vec::new(),
        default_domain: None,
        home,
        quota: facteur_directory::QuotaDefaults::default(),
    });
    let _ = fs::remove_file(&*PATH);
    if let Ok(read) = read {
        let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
        assert!(
            read.errors()
                .iter()
                .all(|error| (1..=lines).contains(&error.line))
        );
    }
});
