//! Messages that we compressed, seen by Dovecot: their text, and the sizes in a Maildir's names.

use std::{collections::BTreeMap, path::Path};

use bytes::Bytes;
use facteur_maildir::FileName;
use facteur_model::{Flags, Guid, InternalDate, MailFormat, MailboxName};
use facteur_store::{Append, Batch, Body, ExportFormat, QuotaCheck, Store};

use crate::doveadm::Dovecot;

/// Without it Dovecot shows what is in a file.
const ZLIB: &str = "mail_plugins = zlib";

fn inbox() -> MailboxName {
    MailboxName::inbox()
}

/// Some that are worth compressing, one that is not, one with line ends of its own.
fn deliver_all(dovecot: &Dovecot, store: &Store) -> Vec<Vec<u8>> {
    store.compress_with(Some(3));
    let long = "the same line again and again\r\n".repeat(300);
    let texts = [
        format!("Subject: long\r\n\r\n{long}"),
        "Subject: short\r\n\r\nx\r\n".to_owned(),
        format!("Subject: bare\n\n{}", long.replace("\r\n", "\n")),
    ];
    let append = |text: &String| Append {
        account: dovecot.spec(),
        mailbox: inbox(),
        create: false,
        prefix: Bytes::from_static(b"Return-Path: <>\r\n"),
        body: Body::Memory(Bytes::from(text.clone())),
        flags: Flags::EMPTY,
        keywords: Vec::new(),
        internal_date: InternalDate::from_unix(1_400_000_000),
        delivery: Guid::random().unwrap(),
        repeated: false,
        quota: QuotaCheck::Ignore,
    };
    let batch = Batch {
        appends: texts.iter().map(append).collect(),
        ..Batch::default()
    };
    store.commit(batch).unwrap();
    let mailbox = store
        .account(&dovecot.spec())
        .unwrap()
        .open(&inbox())
        .unwrap();
    let snapshot = mailbox.snapshot();
    let text = |state: &facteur_store::MessageState| {
        let reader = mailbox.read(state.uid).unwrap();
        let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
        reader.read_exact_at(&mut text, 0).unwrap();
        assert_eq!(reader.size(), state.size);
        text
    };
    snapshot.iter().map(text).collect()
}

/// The sizes that the names of a Maildir's messages say (`,S=`, `,W=`), and those of their files.
fn sizes(maildir: &Path) -> Vec<(u64, u64, u64)> {
    let mut found = Vec::new();
    for dir in ["new", "cur"] {
        for entry in std::fs::read_dir(maildir.join(dir)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let name = FileName::parse(name.as_encoded_bytes()).unwrap();
            let stored = entry.metadata().unwrap().len();
            found.push((name.size().unwrap(), name.virtual_size().unwrap(), stored));
        }
    }
    found.sort_unstable();
    found
}

/// Whether Dovecot's texts and sizes are these, and it complains of nothing. The last one's file may
/// have `bare` line ends of one octet.
fn expect(dovecot: &Dovecot, location: &str, expected: &[Vec<u8>], bare: u64) {
    let fields = "uid size.physical size.virtual";
    let shown = dovecot.doveadm_at(
        location,
        &["-f", "tab", "fetch", fields, "mailbox", "INBOX"],
        b"",
    );
    let shown = String::from_utf8(shown).unwrap();
    let shown: BTreeMap<usize, Vec<u64>> = shown
        .lines()
        .skip(1)
        .map(|line| {
            let mut numbers = line
                .split('\t')
                .map(|number| number.parse::<u64>().unwrap());
            let uid = numbers.next().unwrap();
            (usize::try_from(uid).unwrap(), numbers.collect())
        })
        .collect();
    assert_eq!(shown.len(), expected.len());
    for (uid, text) in (1..).zip(expected) {
        let size = text.len() as u64;
        let bare = if uid == expected.len() { bare } else { 0 };
        assert_eq!(shown[&uid], [size - bare, size], "UID {uid}");
        let uid = uid.to_string();
        let query = [
            "-f", "flow", "fetch", "text", "mailbox", "INBOX", "uid", &uid,
        ];
        let read = dovecot.doveadm_at(location, &query, b"");
        let read = read.strip_prefix(b"text=").unwrap();
        let read = String::from_utf8(read.strip_suffix(b"\n").unwrap().to_vec()).unwrap();
        let read = read.replace("\r\n", "\n").replace('\n', "\r\n");
        assert!(read.as_bytes() == text, "UID {uid}: {read}");
    }
}

#[test]
fn a_compressed_maildir_says_the_sizes_that_dovecot_expects() {
    let Some(dovecot) = Dovecot::with(MailFormat::Maildir, ZLIB) else {
        return;
    };
    let store = dovecot.store();
    let texts = deliver_all(&dovecot, &store);
    store.close().unwrap();
    let sizes = sizes(&dovecot.home);
    // The one with line ends of its own keeps them in its file.
    let bare = texts[2].iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    let mut plain: Vec<(u64, u64)> = (0..)
        .zip(&texts)
        .map(|(at, text)| {
            let size = text.len() as u64;
            (size - if at == 2 { bare } else { 0 }, size)
        })
        .collect();
    plain.sort_unstable();
    let named: Vec<(u64, u64)> = sizes.iter().map(|(s, w, _)| (*s, *w)).collect();
    assert_eq!(named, plain);
    let compressed = sizes.iter().filter(|(plain, _, stored)| stored < plain);
    assert_eq!(compressed.count(), 2, "{sizes:?}");
    expect(&dovecot, &dovecot.location(), &texts, bare);
}

#[test]
fn compressed_messages_exported_as_maildir_are_what_their_names_say() {
    let Some(dovecot) = Dovecot::new(ZLIB) else {
        return;
    };
    let store = dovecot.store();
    let texts = deliver_all(&dovecot, &store);
    let to = dovecot.dir().join("copy");
    store
        .export_account(&dovecot.spec(), ExportFormat::Maildir, &to, &mut |_, _| {})
        .unwrap();
    store.close().unwrap();
    let sizes = sizes(&to);
    assert!(
        sizes.iter().all(|(s, w, stored)| s == w && s == stored),
        "{sizes:?}"
    );
    expect(&dovecot, &format!("maildir:{}", to.display()), &texts, 0);
}

#[test]
fn messages_that_dovecot_compressed_are_exported_as_what_their_names_say() {
    let Some(dovecot) =
        Dovecot::new("mail_plugins = zlib\nplugin {\n zlib_save = zstd\n}\nmail_save_crlf = no")
    else {
        return;
    };
    let text = format!("Subject: theirs\n\n{}", "a line\n".repeat(500));
    dovecot.doveadm(&["save", "-m", "INBOX"], text.as_bytes());
    let store = dovecot.store();
    let to = dovecot.dir().join("copy");
    store
        .export_account(&dovecot.spec(), ExportFormat::Maildir, &to, &mut |_, _| {})
        .unwrap();
    store.close().unwrap();
    let expected = text.replace('\n', "\r\n").into_bytes();
    let sizes = sizes(&to);
    let size = expected.len() as u64;
    assert_eq!(sizes, [(size, size, size)]);
    expect(
        &dovecot,
        &format!("maildir:{}", to.display()),
        &[expected],
        0,
    );
}
