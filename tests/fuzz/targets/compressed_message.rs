//! Compressed bytes, however damaged, are read within the limit or refused; the reader below is never
//! blamed.
#![no_main]
use std::io::{ErrorKind, Read};

use facteur_compression::{Decompressor, Method};
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some(method) = Method::detect(bytes) else {
        return;
    };
    let Ok(mut reader) = Decompressor::new(method, bytes, LIMIT) else {
        return;
    };
    let mut space = vec![0; 10_000];
    let mut read = 0;
    loop {
        match reader.read(&mut space) {
            Ok(0) => break,
            Ok(count) => read += count as u64,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
                assert!(reader.read(&mut space).is_err());
                break;
            }
        }
    }
    assert!(read <= LIMIT);
});
