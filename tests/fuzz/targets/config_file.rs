//! A configuration is read or refused with a line, never with a panic.
#![no_main]
use std::path::Path;

use facteur_config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = Config::parse(Path::new("facteur.toml"), text) {
        assert!(!problems.to_string().is_empty());
    }
});
