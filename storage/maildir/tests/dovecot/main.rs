//! A real Dovecot reads what we wrote, and we read what it wrote, byte for byte.
//!
//! Needs `doveadm`; without it the tests note that they were skipped, and where peers are required
//! they fail.

#![expect(clippy::unwrap_used, reason = "a test stops where it is surprised")]
#![expect(
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

mod doveadm;

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use doveadm::{Dovecot, Fields};
use facteur_compression::Method;
use facteur_disk::Disk;
use facteur_format::{CrlfLines, Identity, Source, Subscriptions};
use facteur_maildir::{
    BaseNames, Changes, FileName, Files, KeywordFile, Layout, Letters, MessageFile, NewMessage,
    Place, UidList, UidValidities, guid_of, identity,
};
use facteur_model::{Flag, Flags, Guid, InternalDate, Keyword, MailboxName, Uid, UidValidity};

const FOLDERS: [&str; 5] = [
    "INBOX",
    "INBOX/Sub",
    "Été & Hiver/日本",
    "Tab \"quoted\"",
    "a\\b",
];

fn messages() -> Vec<Vec<u8>> {
    let long = format!("Subject: long\r\n\r\n{}", "x".repeat(70).repeat(1000));
    let texts: [&[u8]; 5] = [
        b"From: a@b\r\nSubject: plain\r\n\r\nbody\r\n",
        b"Subject: no body\r\n\r\n",
        b"Subject: no end\r\n\r\nlast line",
        b"Subject: dots\r\n\r\n.\r\n..\r\n\xff\xfe\x01\r\n",
        long.as_bytes(),
    ];
    texts.map(<[u8]>::to_vec).into()
}

fn name(text: &str) -> MailboxName {
    MailboxName::parse(text).unwrap()
}

fn uid(value: u32) -> Uid {
    Uid::new(value).unwrap()
}

/// A mailbox as we see it.
struct Seen {
    folder: PathBuf,
    identity: Identity,
    list: UidList,
    keywords: KeywordFile,
}

impl Seen {
    fn open(layout: &Layout, mailbox: &str) -> (Self, Changes) {
        let (disk, mailbox) = (Disk::real(), name(mailbox));
        let folder = layout.folder(&mailbox);
        let made_up = Guid::from_bytes([0xee; 16]);
        let mut seen = Self {
            identity: identity(&disk, layout, &mailbox, made_up).unwrap().unwrap(),
            list: UidList::read(&disk, &folder).unwrap().unwrap(),
            keywords: KeywordFile::read(&disk, &folder).unwrap(),
            folder,
        };
        let changes = seen.look();
        (seen, changes)
    }

    fn look(&mut self) -> Changes {
        let names = BaseNames::new("test");
        let now = SystemTime::now();
        let files = &mut self.list.files;
        let changes = files
            .refresh(&Disk::real(), &self.folder, &names, now)
            .unwrap();
        self.keywords = KeywordFile::read(&Disk::real(), &self.folder).unwrap();
        changes
    }

    /// The UIDs of messages that are there.
    fn uids(&self) -> Vec<u32> {
        let present = self.list.files.iter().filter(|file| file.is_present());
        present.map(|file| file.uid().value()).collect()
    }

    /// What Dovecot would say of a message.
    fn fields(&self, uid: Uid) -> Fields {
        let file = self.list.files.get(uid).unwrap();
        let opened = MessageFile::open(&Disk::real(), &file.path(&self.folder)).unwrap();
        let received = opened.modified().unwrap().unix();
        let flags = file.flags().iter().map(|flag| flag.as_str().to_owned());
        let keywords = self.keywords.keywords(file.letters());
        let words: BTreeSet<String> = flags
            .chain(keywords.map(|keyword| keyword.as_str().to_owned()))
            .collect();
        let stored = opened.stored_size.to_string();
        Fields::from([
            ("uid", uid.to_string()),
            ("guid", file.guid().to_string()),
            ("flags", words.into_iter().collect::<Vec<_>>().join(" ")),
            ("date.received.unixtime", received.to_string()),
            ("size.virtual", self.text(uid).len().to_string()),
            ("size.physical", stored),
        ])
    }

    /// A message's bytes, with CRLF line ends.
    fn text(&self, uid: Uid) -> Vec<u8> {
        let path = self.list.files.get(uid).unwrap().path(&self.folder);
        let mut text = Vec::new();
        let opened = MessageFile::open(&Disk::real(), &path).unwrap();
        CrlfLines::new(opened.file).read_to_end(&mut text).unwrap();
        text
    }
}

/// Both see the same mailbox.
fn compare(dovecot: &Dovecot, mailbox: &str, seen: &Seen) {
    let (validity, next, guid) = dovecot.status(mailbox);
    assert_eq!(seen.identity.uid_validity.value(), validity, "{mailbox}");
    assert_eq!(seen.identity.guid.to_string(), guid, "{mailbox}");
    assert_eq!(seen.list.head.uid_next, next, "{mailbox}");
    let fields = [
        "uid",
        "guid",
        "flags",
        "date.received.unixtime",
        "size.virtual",
        "size.physical",
    ];
    let theirs = dovecot.fetch(mailbox, &fields);
    let uids: Vec<String> = theirs.iter().map(|fields| fields["uid"].clone()).collect();
    let ours: Vec<String> = seen.uids().iter().map(u32::to_string).collect();
    assert_eq!(ours, uids, "{mailbox}");
    for mut theirs in theirs {
        let uid = uid(theirs["uid"].parse().unwrap());
        let words: BTreeSet<&str> = theirs["flags"].split(' ').collect();
        let words = words
            .into_iter()
            .filter(|word| !["\\Recent", ""].contains(word));
        let words = words.collect::<Vec<_>>().join(" ");
        theirs.insert("flags", words);
        let guid = guid_of(theirs["guid"].as_bytes()).to_string();
        theirs.insert("guid", guid);
        assert_eq!(seen.fields(uid), theirs, "{mailbox} {uid}");
        // `doveadm` shows the line ends that are stored; IMAP clients get CRLF of it too.
        let text = dovecot.text(mailbox, &uid.to_string());
        let mut with_crlf = Vec::new();
        CrlfLines::new(&text[..])
            .read_to_end(&mut with_crlf)
            .unwrap();
        assert_eq!(seen.text(uid), with_crlf, "{mailbox} {uid}");
    }
}

/// Dovecot's mailboxes; levels above others are not among them.
fn listed(dovecot: &Dovecot) -> BTreeSet<String> {
    let lines = dovecot.lines(&["-f", "tab", "mailbox", "status", "messages", "*"]);
    let names = lines
        .iter()
        .skip(1)
        .map(|line| line.split('\t').next().unwrap());
    names.map(str::to_owned).collect()
}

fn found(layout: &Layout) -> BTreeSet<String> {
    let found = layout.mailboxes(&Disk::real()).unwrap();
    found.iter().map(|name| name.as_str().to_owned()).collect()
}

#[test]
fn we_read_what_dovecot_wrote() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    for folder in &FOLDERS[1..] {
        dovecot.run(&["mailbox", "create", folder], b"");
    }
    for folder in [FOLDERS[0], FOLDERS[2], "Nowhere/Else"] {
        dovecot.run(&["mailbox", "subscribe", folder], b"");
    }
    for folder in FOLDERS {
        for (at, message) in messages().iter().enumerate() {
            let crlf = format!("mail_save_crlf={}", if at % 2 == 0 { "yes" } else { "no" });
            dovecot.run(&["-o", &crlf, "save", "-m", folder], message);
        }
        for (flags, uid) in [
            ("\\Seen \\Answered", "1"),
            ("\\Flagged \\Deleted \\Draft $Forwarded", "2"),
            ("Later custom $Forwarded", "3"),
        ] {
            dovecot.run(&["flags", "add", flags, "mailbox", folder, "uid", uid], b"");
        }
        dovecot.run(&["expunge", "mailbox", folder, "uid", "4"], b"");
    }
    // A name that a copy gives, and the GUID it keeps; a keyword that no message has any more.
    dovecot.run(&["copy", "INBOX/Sub", "mailbox", "INBOX", "uid", "3"], b"");
    dovecot.run(&["copy", "INBOX", "mailbox", "INBOX", "uid", "3"], b"");
    dovecot.run(
        &["flags", "remove", "Later", "mailbox", "INBOX", "uid", "3"],
        b"",
    );
    let layout = Layout::new(&dovecot.root);
    assert_eq!(found(&layout), listed(&dovecot));
    assert_eq!(found(&layout), FOLDERS.map(str::to_owned).into());
    let subscribed = Subscriptions::read(&Disk::real(), &layout).unwrap();
    let subscribed: BTreeSet<&str> = subscribed.iter().map(MailboxName::as_str).collect();
    assert_eq!(
        subscribed,
        BTreeSet::from([FOLDERS[0], FOLDERS[2], "Nowhere/Else"])
    );
    for folder in FOLDERS {
        let (seen, changes) = Seen::open(&layout, folder);
        assert_eq!(changes.added, [], "{folder}");
        assert!(seen.list.is_sound, "{folder}");
        compare(&dovecot, folder, &seen);
    }
    let (inbox, _) = Seen::open(&layout, "INBOX");
    assert_eq!(inbox.uids(), [1, 2, 3, 5, 6]);
    assert_eq!(inbox.fields(uid(3))["guid"], inbox.fields(uid(6))["guid"]);
    let last = UidValidities::read(&Disk::real(), &layout).unwrap().last;
    for folder in FOLDERS {
        assert!(dovecot.status(folder).0 <= last);
    }
}

#[test]
fn we_see_what_dovecot_changes() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    for message in messages() {
        dovecot.run(&["save", "-m", "INBOX"], &message);
    }
    let layout = Layout::new(&dovecot.root);
    let (mut seen, _) = Seen::open(&layout, "INBOX");
    dovecot.run(
        &[
            "flags",
            "add",
            "\\Seen Later",
            "mailbox",
            "INBOX",
            "uid",
            "2",
        ],
        b"",
    );
    dovecot.run(&["expunge", "mailbox", "INBOX", "uid", "4"], b"");
    dovecot.run(&["save", "-m", "INBOX"], b"Subject: new\n\nbody\n");
    fs::write(
        dovecot.root.join("new/1234567890.M1.postfix"),
        "Subject: dropped\n\nbody\n",
    )
    .unwrap();
    let changes = seen.look();
    assert_eq!(changes.gone, [uid(4)]);
    assert_eq!(changes.changed, [uid(2)]);
    assert_eq!(changes.added.len(), 2);
    assert_eq!(&*changes.added[0].name, b"1234567890.M1.postfix");
    // The numbers that Dovecot gives in the same order.
    dovecot.run(&["mailbox", "status", "messages", "INBOX"], b"");
    let theirs = UidList::read(&Disk::real(), &dovecot.root)
        .unwrap()
        .unwrap();
    for (number, added) in [(7, &changes.added[0]), (6, &changes.added[1])] {
        let file = theirs.files.get(uid(number)).unwrap();
        assert!(added.name.starts_with(file.base()), "{number}");
    }
}

/// Writes messages as the store does: a file in `tmp/`, its name, its line.
fn deliver(layout: &Layout, mailbox: &str, flags: &[(Flags, &[&str])]) {
    let disk = Disk::real();
    let folder = layout.folder(&name(mailbox));
    let mut list = UidList::read(&disk, &folder).unwrap().unwrap();
    let mut keywords = KeywordFile::read(&disk, &folder).unwrap();
    let names = BaseNames::new("mail.example.org");
    let mut lines = Vec::new();
    for (message, (flags, words)) in messages().iter().zip(flags) {
        let words = words.iter().filter_map(|word| Keyword::parse(word));
        let letters: Letters = words.filter_map(|word| keywords.give(&word)).collect();
        let message = NewMessage {
            parts: &[Source::Memory(message)],
            received: InternalDate::from_unix(1_234_567_890),
        };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let base = names.next(now, Guid::random().unwrap());
        let (path, file) = message
            .write(&disk, &layout.tmp(&name(mailbox)), &base)
            .unwrap();
        file.sync_all().unwrap();
        let base = message.base(&base);
        let (place, whole) = NewMessage::place(&base, *flags, letters);
        keywords.write_unsynced(&disk, &folder).unwrap();
        disk.rename_new(&path, &place.file(&folder, &whole))
            .unwrap();
        let uid = uid(u32::try_from(list.head.uid_next).unwrap());
        UidList::push_line(&mut lines, uid, b"", base.as_bytes());
        assert!(list.files.push(uid, b"", base.as_bytes()));
        list.head.uid_next += 1;
    }
    UidList::append(&disk, &folder, &lines).unwrap();
}

/// A Maildir of ours, with messages, flags and keywords.
fn fill(layout: &Layout) {
    let disk = Disk::real();
    fs::create_dir_all(layout.root()).unwrap();
    let all = Flags::ALL;
    let seen = Flags::EMPTY.with(Flag::Seen);
    let none = Flags::EMPTY;
    for (number, folder) in (1..).zip(FOLDERS) {
        let validity = UidValidity::new(1_600_000_000 + number).unwrap();
        let identity = Identity::new(validity, Guid::random().unwrap());
        layout.make(&disk, &name(folder), &identity).unwrap();
        let mut values = UidValidities::read(&disk, layout).unwrap();
        values.note(&disk, layout, validity.value()).unwrap();
        let flags: [(Flags, &[&str]); 5] = [
            (none, &[]),
            (all, &["$Forwarded"]),
            (none, &["Later", "$Forwarded"]),
            (seen, &[]),
            (none, &[]),
        ];
        deliver(layout, folder, &flags);
    }
    let mut subscriptions = Subscriptions::default();
    for folder in [FOLDERS[0], FOLDERS[2]] {
        subscriptions.set(&name(folder), true);
    }
    subscriptions.write(&disk, layout).unwrap();
}

#[test]
fn dovecot_reads_what_we_wrote() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    let layout = Layout::new(&dovecot.root);
    fill(&layout);
    assert_eq!(listed(&dovecot), FOLDERS.map(str::to_owned).into());
    let subscribed: BTreeSet<String> = dovecot
        .lines(&["mailbox", "list", "-s"])
        .into_iter()
        .collect();
    assert_eq!(
        subscribed,
        [FOLDERS[0], FOLDERS[2]].map(str::to_owned).into()
    );
    for folder in FOLDERS {
        let (seen, changes) = Seen::open(&layout, folder);
        assert_eq!(changes.added, []);
        compare(&dovecot, folder, &seen);
        for (number, message) in (1..).zip(messages()) {
            assert_eq!(seen.text(uid(number)), message, "{folder} {number}");
        }
        assert_eq!(seen.fields(uid(3))["flags"], "$Forwarded Later");
    }
    let ours = dovecot.status("INBOX").0;
    dovecot.run(&["mailbox", "create", "Later"], b"");
    assert!(dovecot.status("Later").0 > ours + 4);
}

/// Renames a message's file as the store does when its flags change.
fn set_flags(seen: &mut Seen, number: u32, flags: Flags, words: &[&str]) {
    let disk = Disk::real();
    let words = words.iter().filter_map(|word| Keyword::parse(word));
    let letters = words.filter_map(|word| seen.keywords.give(&word)).collect();
    seen.keywords.write_unsynced(&disk, &seen.folder).unwrap();
    let files: &mut Files = &mut seen.list.files;
    let file = files.get(uid(number)).unwrap();
    let renamed = file.renamed(flags, letters, seen.keywords.known());
    let to = Place::Cur.file(&seen.folder, &renamed);
    disk.rename_new(&file.path(&seen.folder), &to).unwrap();
    assert!(files.note(uid(number), Place::Cur, &renamed));
}

#[test]
fn dovecot_sees_what_we_change_in_its_own_folder() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    dovecot.run(&["mailbox", "create", "Work"], b"");
    for folder in ["INBOX", "Work"] {
        for message in messages() {
            dovecot.run(&["save", "-m", folder], &message);
        }
        dovecot.run(
            &[
                "flags",
                "add",
                "theirs \\Flagged",
                "mailbox",
                folder,
                "uid",
                "2,3",
            ],
            b"",
        );
    }
    let layout = Layout::new(&dovecot.root);
    for folder in ["INBOX", "Work"] {
        let (mut seen, _) = Seen::open(&layout, folder);
        set_flags(&mut seen, 1, Flags::ALL, &["ours"]);
        set_flags(&mut seen, 2, Flags::EMPTY, &["theirs", "ours"]);
        set_flags(&mut seen, 3, Flags::EMPTY, &[]);
        let path = seen.list.files.get(uid(4)).unwrap().path(&seen.folder);
        fs::remove_file(path).unwrap();
        assert_eq!(seen.look().gone, [uid(4)]);
        assert_eq!(seen.fields(uid(2))["flags"], "ours theirs");
        compare(&dovecot, folder, &seen);
        // Written anew, without the line of what is gone.
        seen.list.files.retain(|uid| uid.value() != 4);
        let guid = seen.identity.guid;
        seen.list
            .write_unsynced(&Disk::real(), &seen.folder, guid)
            .unwrap();
        deliver(
            &layout,
            folder,
            &[(Flags::EMPTY, &[]), (Flags::ALL, &["theirs"])],
        );
        let (seen, changes) = Seen::open(&layout, folder);
        assert_eq!((changes.added, changes.gone), (vec![], vec![]));
        assert_eq!(seen.uids(), [1, 2, 3, 5, 6, 7]);
        compare(&dovecot, folder, &seen);
    }
    let moved = layout
        .renames([name("Work")].iter(), &name("Work"), &name("Été/Work"))
        .unwrap();
    for (from, to) in moved {
        Disk::real().rename_new(&from, &to).unwrap();
    }
    assert_eq!(listed(&dovecot), found(&layout));
    let (seen, _) = Seen::open(&layout, "Été/Work");
    compare(&dovecot, "Été/Work", &seen);
}

#[test]
fn we_find_the_size_of_what_dovecot_compressed() {
    let Some(dovecot) = Dovecot::new() else {
        return;
    };
    let long = messages().pop().unwrap();
    for method in ["gz", "zstd"] {
        let plugin = format!("plugin/zlib_save={method}");
        let save = [
            "-o",
            "mail_plugins=zlib",
            "-o",
            &plugin,
            "save",
            "-m",
            "INBOX",
        ];
        dovecot.run(&save, &long);
    }
    let layout = Layout::new(&dovecot.root);
    let (seen, _) = Seen::open(&layout, "INBOX");
    let looks = seen.list.files.iter().map(|file| {
        let opened = MessageFile::open(&Disk::real(), &file.path(&seen.folder)).unwrap();
        let name = file.name();
        let name = FileName::parse(&name).unwrap();
        assert!(opened.stored_size < 1000);
        // Dovecot stored it with LF.
        assert_eq!(name.size(), Some(long.len() as u64 - 2));
        assert_eq!(name.virtual_size(), Some(long.len() as u64));
        opened.looks
    });
    assert_eq!(
        looks.collect::<Vec<_>>(),
        [Some(Method::Gzip), Some(Method::Zstd)]
    );
}
