//! Messages that Dovecot's zlib plugin compressed.

use std::{fs, io::ErrorKind, io::Write, path::Path};

use bytes::Bytes;
use facteur_compression::Compressor;
use facteur_model::{MailFormat, Uid};
use facteur_store::{Append, Mailbox, Store, StoreError};

use crate::world::{World, batch, listed, name, text, uids};

const HEADER: &str = "From: a@example.test\nSubject: squeezed\n\n";

fn zstd(plain: &[u8]) -> Vec<u8> {
    let mut out = Compressor::new(Vec::new(), 3, plain.len() as u64).unwrap();
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

/// A message of about `size` octets that can be compressed, but not to nothing.
fn message(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut out = HEADER.as_bytes().to_vec();
    while out.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        writeln!(out, "line {state} of the body").unwrap();
    }
    out
}

fn crlf(lines: &[u8]) -> Vec<u8> {
    let lines = String::from_utf8(lines.to_vec()).unwrap();
    lines.replace('\n', "\r\n").into_bytes()
}

/// What its file says of a message's size.
struct Sizes {
    /// When it is not compressed.
    plain: usize,
    with_crlf: usize,
}

/// Writes a message's file as Dovecot does.
fn put(mails: &Path, uid: u32, stored: &[u8], sizes: Sizes) {
    match crate::FORMAT {
        MailFormat::Sdbox => put_sdbox(mails, uid, stored, sizes),
        MailFormat::Maildir => put_maildir(mails, uid, stored, sizes),
    }
}

fn put_maildir(mails: &Path, uid: u32, stored: &[u8], Sizes { plain, with_crlf }: Sizes) {
    for dir in ["cur", "new", "tmp"] {
        fs::create_dir_all(mails.join(dir)).unwrap();
    }
    let name = format!("1000.M{uid}.elsewhere,S={plain},W={with_crlf}:2,");
    fs::write(mails.join("cur").join(name), stored).unwrap();
}

fn put_sdbox(mails: &Path, uid: u32, stored: &[u8], Sizes { plain, with_crlf }: Sizes) {
    fs::create_dir_all(mails).unwrap();
    // Z is not said when it is the size that the file says anyway.
    let plain = (plain != stored.len()).then(|| format!("Z{plain:x}\n"));
    let sizes = format!("{}V{with_crlf:x}\n", plain.unwrap_or_default());
    let mut file = format!(
        "2 M1e C6b00c19e\n\x01\x02N          {:016X}\n",
        stored.len()
    )
    .into_bytes();
    file.extend_from_slice(stored);
    let guid = format!("51e4ba119ec1006b706e{uid:012x}");
    file.extend_from_slice(format!("\n\x01\x03\n{sizes}R6b00c19e\nG{guid}\n\n").as_bytes());
    fs::write(mails.join(format!("u.{uid}")), file).unwrap();
}

fn sizes(plain: &[u8], lines: &[u8]) -> Sizes {
    Sizes {
        plain: plain.len(),
        with_crlf: crlf(lines).len(),
    }
}

/// Of a message that has CRLF in its file.
fn as_is(plain: &[u8]) -> Sizes {
    Sizes {
        plain: plain.len(),
        with_crlf: plain.len(),
    }
}

struct Opened {
    world: World,
    _store: Store,
    inbox: Mailbox,
}

/// A store that finds what `put` into INBOX.
fn opened(put: impl Fn(&Path)) -> Opened {
    let world = World::new();
    put(&world.mails("bob", "INBOX"));
    let store = world.open();
    let inbox = world.mailbox(&store, "bob", "INBOX");
    Opened {
        world,
        _store: store,
        inbox,
    }
}

impl Opened {
    fn size(&self, uid: u32) -> u64 {
        let snapshot = self.inbox.snapshot();
        snapshot.by_uid(Uid::new(uid).unwrap()).unwrap().size
    }

    fn part(&self, uid: u32, at: u64, length: usize) -> std::io::Result<Vec<u8>> {
        let reader = self.inbox.read(Uid::new(uid).unwrap()).unwrap();
        let mut part = vec![0; length];
        reader.read_exact_at(&mut part, at).map(|()| part)
    }

    fn envelope_has(&self, uid: u32, wanted: &[u8]) -> bool {
        let mut has = false;
        let mut look = |_, summary: &facteur_store::Summary| {
            has = summary.envelope.windows(wanted.len()).any(|w| w == wanted);
        };
        self.inbox.summaries(&uids(&[uid]), &mut look).unwrap();
        has
    }
}

#[test]
fn compressed_messages_are_read_with_crlf_whole_and_in_parts() {
    for size in [100, 60_000, 262_144, 900_000] {
        let lines = message(size);
        let with_crlf = crlf(&lines);
        let opened = opened(|mails| {
            put(mails, 1, &zstd(&lines), sizes(&lines, &lines));
            put(mails, 2, &zstd(&with_crlf), sizes(&with_crlf, &lines));
        });
        assert_eq!(listed(&opened.inbox), [1, 2]);
        for uid in [1, 2] {
            assert_eq!(opened.size(uid), with_crlf.len() as u64, "{size}");
            assert!(opened.envelope_has(uid, b"squeezed"), "{size}");
            assert!(text(&opened.inbox, uid) == with_crlf, "{size}");
            let middle = with_crlf.len() / 2;
            for at in [0, middle, with_crlf.len() - 10] {
                let part = opened.part(uid, at as u64, 10).unwrap();
                assert_eq!(part, with_crlf[at..at + 10], "{size} from {at}");
            }
            let past = opened.part(uid, with_crlf.len() as u64 - 5, 10);
            assert_eq!(past.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        }
    }
}

#[test]
fn a_copy_of_a_compressed_message_stays_compressed() {
    let lines = message(5_000);
    let opened = opened(|mails| put(mails, 1, &zstd(&lines), sizes(&lines, &lines)));
    opened.inbox.copy(&uids(&[1]), &name("Spam")).unwrap();
    let spam = opened
        .world
        .account(&opened._store, "bob")
        .open(&name("Spam"))
        .unwrap();
    assert_eq!(text(&spam, 1), crlf(&lines));
    assert_eq!(
        fs::read(opened.world.file("bob", "Spam", 1)).unwrap(),
        fs::read(opened.world.file("bob", "INBOX", 1)).unwrap()
    );
}

#[test]
fn a_compressed_message_whose_sizes_happen_to_be_equal_is_read() {
    // Dovecot's sdbox then has no Z. Find a message whose compressed size is its own.
    let (plain, compressed) = (0..)
        .find_map(|at| {
            let mut state = 7_u32;
            let mut plain = b"Subject: x\r\n\r\n".to_vec();
            for _ in 0..60 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                plain.push(b' ' + (state >> 24) as u8 % 95);
            }
            plain.extend(std::iter::repeat_n(b'a', at));
            let compressed = zstd(&plain);
            (compressed.len() == plain.len()).then_some((plain, compressed))
        })
        .unwrap();
    let opened = opened(|mails| put(mails, 1, &compressed, as_is(&plain)));
    assert_eq!(text(&opened.inbox, 1), plain);
}

#[test]
fn a_plain_message_that_looks_compressed_is_left_as_it_is() {
    let looks = b"\x1f\x8b\x08 is no header field\r\n\r\nbody\r\n";
    let opened = opened(|mails| put(mails, 1, looks, as_is(looks)));
    assert_eq!(text(&opened.inbox, 1), looks);
}

#[test]
fn damaged_compressed_messages_fail_alone() {
    let lines = message(700_000);
    let small = message(2_000);
    let mut flipped = zstd(&lines);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let mut cut = zstd(&small);
    cut.truncate(cut.len() - 30);
    let opened = opened(|mails| {
        put(mails, 1, &flipped, sizes(&lines, &lines));
        put(mails, 2, &cut, sizes(&small, &small));
        put(mails, 3, b"no known magic", sizes(&small, &small));
        // It decompresses to more than it says.
        put(
            mails,
            4,
            &zstd(&small),
            sizes(&small[..1_000], &small[..1_000]),
        );
        put(mails, 5, &zstd(&small), sizes(&small, &small));
    });
    assert_eq!(listed(&opened.inbox), [1, 2, 3, 4, 5]);
    // Its header can still be read.
    assert!(opened.envelope_has(1, b"squeezed"));
    assert!(opened.part(1, 0, 20).unwrap().starts_with(b"From: a@"));
    let reader = opened.inbox.read(Uid::new(1).unwrap()).unwrap();
    let error = reader.check(reader.size()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    assert!(opened.part(1, 600_000, 10).is_err());
    for uid in [2, 3, 4] {
        if uid == 3 && crate::FORMAT == MailFormat::Maildir {
            // There nothing but its first bytes says that a message is compressed.
            assert_eq!(text(&opened.inbox, uid), b"no known magic");
            continue;
        }
        match opened.inbox.read(Uid::new(uid).unwrap()) {
            Err(StoreError::Io(error)) => assert_eq!(error.kind(), ErrorKind::InvalidData, "{uid}"),
            other => panic!("{uid}: {other:?}"),
        }
    }
    assert_eq!(text(&opened.inbox, 5), crlf(&small));
}

/// Commits a message that is staged in memory when small.
fn deliver(world: &World, store: &Store, message: &[u8]) -> u32 {
    let mut staging = store.stage();
    staging.write(message).unwrap();
    let append = Append {
        body: staging.finish().unwrap(),
        prefix: Bytes::new(),
        ..world.append("bob", "INBOX")
    };
    store.commit(batch([append])).unwrap().appended[0]
        .uid
        .value()
}

#[test]
fn new_messages_are_compressed_where_that_makes_them_smaller() {
    let world = World::new();
    let store = world.open();
    store.compress_with(Some(3));
    let small = crlf(&message(2_000));
    let large = crlf(&message(500_000));
    for message in [&small[..], &large, b"a: b\r\n\r\n"] {
        deliver(&world, &store, message);
    }
    store.compress_with(None);
    deliver(&world, &store, &small);
    let stored = |uid| fs::read(world.file("bob", "INBOX", uid)).unwrap();
    // Sdbox's own header stands before the message.
    let begin = match crate::FORMAT {
        MailFormat::Sdbox => 46,
        MailFormat::Maildir => 0,
    };
    let zstd = [0x28, 0xb5, 0x2f, 0xfd];
    for (uid, is_compressed) in [(1, true), (2, true), (3, false), (4, false)] {
        assert_eq!(
            stored(uid)[begin..].starts_with(&zstd),
            is_compressed,
            "{uid}"
        );
    }
    assert!(stored(1).len() < small.len() * 2 / 3);
    assert!(stored(2).len() < large.len() * 2 / 3);
    let expect_all = |store: &Store| {
        let inbox = world.mailbox(store, "bob", "INBOX");
        for (uid, expected) in [
            (1, &small[..]),
            (2, &large),
            (3, b"a: b\r\n\r\n"),
            (4, &small),
        ] {
            assert!(text(&inbox, uid) == expected, "{uid}");
            let size = inbox
                .snapshot()
                .by_uid(Uid::new(uid).unwrap())
                .unwrap()
                .size;
            assert_eq!(size, expected.len() as u64, "{uid}");
        }
        let usage = world.account(store, "bob").usage().unwrap();
        assert_eq!(usage.bytes, (2 * small.len() + large.len() + 8) as u64);
    };
    expect_all(&store);
    store.close().unwrap();
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(world.home("bob").join(format!("index.db{suffix}")));
    }
    expect_all(&world.open());
}

#[test]
fn what_a_client_compressed_comes_back_as_it_came() {
    let world = World::new();
    let store = world.open();
    let looks = zstd(b"Subject: inside\r\n\r\nhidden\r\n");
    let looks: Vec<u8> = looks.into_iter().filter(|byte| *byte != b'\n').collect();
    let uid = deliver(&world, &store, &looks);
    let inbox = world.mailbox(&store, "bob", "INBOX");
    assert_eq!(text(&inbox, uid), looks);
}
