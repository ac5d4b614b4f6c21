//! Every method: what is read back, what is refused, who is blamed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::io::{self, ErrorKind, Read, Write};

use facteur_compression::{Compressor, DEFAULT_LEVEL, Decompressor, Method};
use proptest::prelude::*;

const METHODS: [Method; 5] = [
    Method::Gzip,
    Method::Bzip2,
    Method::Zstd,
    Method::Lz4,
    Method::Xz,
];

fn compress(method: Method, plain: &[u8]) -> Vec<u8> {
    match method {
        Method::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Method::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(9));
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Method::Zstd => {
            let size = plain.len() as u64;
            let mut out = Compressor::new(Vec::new(), DEFAULT_LEVEL, size).unwrap();
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
        Method::Lz4 => lz4(plain, 64 * 1024),
        Method::Xz => {
            let options = lzma_rust2::XzOptions::default();
            let mut out = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            out.write_all(plain).unwrap();
            out.finish().unwrap()
        }
    }
}

fn lz4(plain: &[u8], block: u32) -> Vec<u8> {
    let mut out = b"Dovecot-LZ4\x0d\x2a\x9b\xc5".to_vec();
    out.extend_from_slice(&block.to_be_bytes());
    for chunk in plain.chunks(block as usize) {
        let chunk = lz4_flex::block::compress(chunk);
        out.extend_from_slice(&u32::try_from(chunk.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&chunk);
    }
    out
}

fn decompress(method: Method, compressed: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    Decompressor::new(method, compressed, limit)?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// A message with some structure, and some that cannot be compressed.
fn message(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut out = b"Subject: compression\r\n\r\n".to_vec();
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        match state % 3 {
            0 => out.extend_from_slice(b"The quick brown fox jumps over the lazy dog.\r\n"),
            _ => out.extend_from_slice(&state.to_le_bytes()),
        }
    }
    out.truncate(size);
    out
}

/// One byte a call.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(1);
        self.0.read(&mut out[..most])
    }
}

#[test]
fn what_every_method_wrote_is_detected_and_read() {
    for method in METHODS {
        for size in [0, 1, 100, 65_536, 65_537, 140_000] {
            let plain = message(7, size);
            let compressed = compress(method, &plain);
            assert_eq!(
                Method::detect(&compressed[..compressed.len().min(Method::MAGIC_LEN)]),
                Some(method)
            );
            let read = decompress(method, &compressed, size as u64).unwrap();
            assert!(read == plain, "{method} of {size} bytes");
        }
    }
}

#[test]
fn plain_messages_are_not_taken_for_compressed_ones() {
    for plain in [
        &b""[..],
        b"\x1f",
        b"From: a\r\n\r\n",
        b"BZh9: a field\r\n\r\n",
        b"Dovecot-LZ4: a field\r\n\r\n",
        b"\x28\xb5\x2f",
        b"\xfd7zXZ",
    ] {
        assert_eq!(Method::detect(plain), None, "{plain:?}");
    }
}

#[test]
fn more_than_the_limit_is_refused_without_being_given() {
    // A bomb.
    let plain = vec![0; 2 << 20];
    for method in METHODS {
        let compressed = compress(method, &plain);
        assert!(compressed.len() < 50_000, "{method}");
        let mut read = Vec::new();
        let error = Decompressor::new(method, &compressed[..], 100_000)
            .unwrap()
            .read_to_end(&mut read)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{method}: {error}");
        assert_eq!(read.len(), 100_000, "{method}");
    }
}

#[test]
fn a_window_that_only_a_bomb_needs_is_refused() {
    // A frame that announces a window of 1 GiB.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 20 << 3, 0x01, 0, 0];
    let error = decompress(Method::Zstd, &zstd, 1 << 40).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let mut options = lzma_rust2::XzOptions::default();
    options.lzma_options.dict_size = 256 << 20;
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    xz.write_all(b"tiny").unwrap();
    let error = decompress(Method::Xz, &xz.finish().unwrap(), 1 << 40).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}

#[test]
fn data_that_is_cut_short_is_damaged() {
    let plain = message(3, 20_000);
    for method in METHODS {
        let compressed = compress(method, &plain);
        for cut in [1, 5, 30, compressed.len() / 2, compressed.len() - 1] {
            let read = decompress(method, &compressed[..cut], plain.len() as u64);
            let error = read.expect_err(method.name());
            assert_eq!(
                error.kind(),
                ErrorKind::InvalidData,
                "{method} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_flipped_bit_is_found_where_the_method_has_a_checksum() {
    let plain = message(5, 20_000);
    for method in METHODS {
        let compressed = compress(method, &plain);
        for at in [compressed.len() / 3, compressed.len() / 2] {
            let mut flipped = compressed.clone();
            flipped[at] ^= 0x10;
            match decompress(method, &flipped, plain.len() as u64) {
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{method}"),
                // Dovecot's frame for LZ4 has none.
                Ok(_) => assert_eq!(method, Method::Lz4),
            }
        }
    }
}

#[test]
fn streams_one_after_the_other_are_one_message() {
    for method in [Method::Gzip, Method::Bzip2, Method::Zstd, Method::Xz] {
        let mut compressed = compress(method, b"From: a\r\n");
        compressed.extend_from_slice(&compress(method, b"\r\nbody\r\n"));
        let read = decompress(method, &compressed, 100).unwrap();
        assert_eq!(read, b"From: a\r\n\r\nbody\r\n", "{method}");
    }
}

#[test]
fn an_error_of_the_disk_is_not_the_datas() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            match self.0.read(out)? {
                0 => Err(io::Error::other("the disk is broken")),
                read => Ok(read),
            }
        }
    }
    let plain = message(9, 50_000);
    for method in METHODS {
        let compressed = compress(method, &plain);
        let half = &compressed[..compressed.len() / 2];
        let mut reader = Decompressor::new(method, Failing(half), 1 << 20).unwrap();
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), "the disk is broken", "{method}");
        assert!(reader.read(&mut [0; 8]).is_err(), "{method}");
    }
}

#[test]
fn lz4_blocks_of_impossible_sizes_are_refused() {
    let with = |block: u32, size: u32| {
        let mut bytes = b"Dovecot-LZ4\x0d\x2a\x9b\xc5".to_vec();
        bytes.extend_from_slice(&block.to_be_bytes());
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(&[0x10, b'a']);
        bytes
    };
    assert_eq!(
        decompress(Method::Lz4, &with(1 << 20, 2), 10).unwrap(),
        b"a"
    );
    for (block, size) in [(0, 2), ((1 << 20) + 1, 2), (65_536, 0), (65_536, u32::MAX)] {
        let error = decompress(Method::Lz4, &with(block, size), 10).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{block} {size}");
    }
}

#[test]
fn a_frame_of_another_size_than_announced_is_not_written() {
    let mut out = Compressor::new(Vec::new(), DEFAULT_LEVEL, 10).unwrap();
    out.write_all(b"four").unwrap();
    assert!(out.finish().is_err());
    assert!(Compressor::new(Vec::new(), 23, 10).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn bytes_come_back_however_they_are_read(
        seed: u32,
        size in 0usize..100_000,
        which in 0usize..5,
        step in 1usize..5_000,
    ) {
        let method = METHODS[which];
        let plain = message(seed, size);
        let compressed = compress(method, &plain);
        let mut reader = Decompressor::new(method, Dribble(&compressed), size as u64).unwrap();
        let mut read = Vec::new();
        let mut chunk = vec![0; step];
        loop {
            let n = reader.read(&mut chunk).unwrap();
            if n == 0 { break }
            read.extend_from_slice(&chunk[..n]);
        }
        prop_assert!(read == plain);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        which in 0usize..5,
        size in 0usize..5_000,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let method = METHODS[which];
        let mut bytes = compress(method, &message(1, size));
        for (at, to) in &changes {
            let at = at.index(bytes.len());
            bytes[at] = *to;
        }
        match decompress(method, &bytes, 10_000) {
            Ok(plain) => prop_assert!(plain.len() <= 10_000),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidData),
        }
    }
}
