//! A script is refused with a line of its own, or compiles.
#![no_main]
use facteur_delivery::sieve;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|script: &[u8]| {
    if let Err(error) = sieve::check(script) {
        let lines = 1 + script.iter().filter(|byte| **byte == b'\n').count();
        assert!((1..=lines).contains(&error.line), "{error}");
        assert!(!error.message.is_empty());
    }
});
