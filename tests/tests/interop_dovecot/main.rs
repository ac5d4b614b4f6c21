//! A real Dovecot reads the tree that Facteur leaves, byte for byte, and describes messages alike.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so and ends"
)]

use std::{path::PathBuf, process::Command};

use facteur_tests::{Facteur, Imap, Setup, Workdir, require_peer};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

/// Mailboxes, as they are on the wire and as `doveadm` names them.
const MAILBOXES: [(&str, &str); 6] = [
    ("INBOX", "INBOX"),
    ("Archive", "Archive"),
    ("Archive/2026/January", "Archive/2026/January"),
    ("&AMk-t&AOk- &- Hiver/&ZeVnLA-", "Été & Hiver/日本"),
    (".hidden", ".hidden"),
    ("Tab \\\"quoted\\\"", "Tab \"quoted\""),
];

/// Dovecot's administration tool on a copy of Bob's mail.
struct Dovecot {
    work: Workdir,
    program: PathBuf,
}

impl Dovecot {
    /// On a copy of what the server, which must not run, has of Bob's.
    fn on_a_copy(program: PathBuf, server: &Facteur) -> Self {
        Self::with_plugins(program, server, "")
    }

    fn with_plugins(program: PathBuf, server: &Facteur, plugins: &str) -> Self {
        let work = Workdir::new(server, "dovecot");
        let folder = work.path().display();
        work.write(
            "dovecot.conf",
            &format!(
                "base_dir = {folder}/run\nlog_path = /dev/stderr\nssl = no\nprotocols =\n\
                 mail_plugins = {plugins}\n\
                 first_valid_uid = 1\nfirst_valid_gid = 1\nmail_location = sdbox:{folder}/mail\n\
                 namespace {{\n  inbox = yes\n  separator = /\n}}\n"
            ),
        );
        let home = server.data().join("mail/example.test/bob");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(home)
            .arg(work.path().join("mail"))
            .status();
        assert!(copied.expect("cp").success());
        Self { work, program }
    }

    /// Runs `doveadm`, which must have nothing to complain of but that it rebuilds its index.
    fn doveadm(&self, arguments: &[&str]) -> Vec<u8> {
        let all = [&["-c", "dovecot.conf"], arguments].concat();
        let ran = self.work.run(&self.program, &all, "");
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.output);
        let printed = String::from_utf8_lossy(&ran.stdout).len();
        let complaint = ran.output[printed..]
            .lines()
            .find(|line| !line.contains("ebuild"));
        assert_eq!(complaint, None, "{arguments:?}");
        ran.stdout
    }

    /// A field of a message.
    fn fetch(&self, field: &str, mailbox: &str, uid: u32) -> Vec<u8> {
        let uid = uid.to_string();
        let said = self.doveadm(&[
            "-f", "flow", "fetch", field, "mailbox", mailbox, "uid", &uid,
        ]);
        let value = said.strip_prefix(format!("{field}=").as_bytes());
        let value = value.and_then(|value| value.strip_suffix(b"\n"));
        value
            .unwrap_or_else(|| panic!("{field} of {mailbox} {uid}: {said:?}"))
            .to_vec()
    }

    /// The lines that a verb prints, sorted.
    fn lines(&self, arguments: &[&str]) -> Vec<String> {
        let said = String::from_utf8(self.doveadm(arguments)).expect("UTF-8");
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }
}

/// Messages that are awkward to store or to describe.
const AWKWARD: [&[u8]; 24] = [
    b"From: a@b.example\r\nSubject: plain\r\n\r\nbody\r\n",
    b"Subject: no body\r\n\r\n",
    b"Subject: no blank line\r\n",
    b"Subject: no end\r\n\r\nlast line",
    b"\r\nno header at all\r\n",
    b"Subject: bare\nFrom: x@y.example\n\nlines end\nin LF\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n\xff\xfe\x01\x02N\r\n\n\x01\x03\nG\r\n",
    b"Subject: caf\xe9\r\nFrom: \"Ren\xe9\" <r@b.example>\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe9t\xe9\r\n",
    b"From: =?utf-8?q?=C3=89ric?= <e@b.example>\r\nTo: Group: a@x.example, \"B, C\" <b@x.example>;, d@x.example\r\nCc: undisclosed-recipients:;\r\nSubject: =?utf-8?b?w6l0w6k=?=\r\n folded\r\n\tagain\r\nIn-Reply-To: <1@x>\r\nMessage-ID: <2@x>\r\nDate: Fri, 20 Nov 2026 12:00:00 +0000 (UTC)\r\n\r\nx\r\n",
    b"From: a@b.example (Comment (nested))\r\nSender: s@b.example\r\nReply-To: <r@b.example>, \"quo\\\"ted\\\\\" <q@b.example>\r\nBcc: hidden@b.example\r\n\r\nx\r\n",
    b"From: <@route.example:a@b.example>\r\nTo: no-at-sign, @no-local.example, <>\r\nSubject:\r\n\r\nx\r\n",
    b"Content-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n--=_b\r\n\r\none\r\n--=_b\r\nContent-Type: text/html; charset=\"utf-8\"; format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\nContent-ID: <id@x>\r\nContent-Description: a \"description\"\r\nContent-Language: fr, en\r\nContent-Location: http://x/\r\nContent-MD5: abc\r\nContent-Disposition: attachment; filename=\"a b.html\"; size=3\r\n\r\n<p>\r\n--=_b--\r\nepilogue\r\n",
    b"Content-Type: multipart/alternative; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/related; boundary=ab\r\n\r\n--ab\r\n\r\nx\r\n--ab--\r\n--a\r\nContent-Type: image/png; name=\"x.png\"\r\nContent-Transfer-Encoding: base64\r\n\r\niVBOR\r\n--a--\r\n",
    b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nFrom: in@b.example\r\nSubject: inner\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\nContent-Type: text/plain\r\n\r\ninner text\r\n--y--\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n--x--\r\n",
    b"Content-Type: message/rfc822\r\n\r\nSubject: whole\r\n\r\nbody\r\n",
    b"Content-Type: multipart/mixed; boundary=never\r\n\r\nno boundary comes\r\n",
    b"Content-Type: multipart/mixed; boundary=open\r\n\r\n--open\r\nContent-Type: text/plain\r\n\r\nnot closed\r\n",
    b"Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\nno boundary is named\r\n--x--\r\n",
    b"Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: in a digest\r\n\r\none\r\n--d\r\n\r\nSubject: second\r\n\r\ntwo\r\n--d--\r\n",
    b"Content-Type: TEXT/Plain; Charset=UTF-8 (comment); x=\"a;b\"\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n\xc3\xa9\r\n",
    b"Content-Type: nonsense\r\nContent-Disposition: ; filename=x\r\n\r\nx\r\n",
    b"Content-Type: application/pdf; name*=utf-8''caf%C3%A9.pdf; name*0=\"a\"; name*1=\"b\"\r\n\r\nx\r\n",
    b"Subject: one\r\nSubject: two\r\nFrom: a@b.example\r\nFrom: c@d.example\r\nTo: a@b.example\r\nTo: c@d.example\r\n\r\nx\r\n",
    b"From a@b.example Fri Nov 20 12:00:00 2026\r\nSubject: mbox\r\n\r\n>From the\r\n",
];

fn bob(server: &Facteur) -> Imap {
    server.imap_tls(BOB, "bob-password")
}

/// Fills all of Bob's mailboxes by delivery, APPEND, COPY and MOVE, with gaps in the UIDs.
fn fill(server: &Facteur) {
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for subject in ["one", "two"] {
        let message = format!("From: {ALICE}\r\nSubject: {subject}\r\n\r\n.dot\r\n");
        assert_eq!(smtp.send(ALICE, &[BOB, ALICE], &message).code, 250);
    }
    let mut imap = bob(server);
    for (mailbox, _) in &MAILBOXES[2..] {
        imap.must(&format!("CREATE \"{mailbox}\""));
    }
    for message in AWKWARD {
        let (mailbox, _) = MAILBOXES[1];
        let appended = imap.append_bytes(
            &format!("\"{mailbox}\" \"01-Feb-2009 23:31:30 +0000\""),
            message,
        );
        assert!(appended.is_ok(), "{message:?}: {appended:?}");
    }
    imap.must("SELECT Archive");
    for (at, (mailbox, _)) in (1..).zip(&MAILBOXES[2..]) {
        imap.must(&format!("UID COPY 1:{at},7 \"{mailbox}\""));
    }
    imap.must("UID MOVE 3 \".hidden\"");
    imap.must("UID STORE 5 +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    imap.must("SUBSCRIBE \"&AMk-t&AOk- &- Hiver/&ZeVnLA-\"");
    imap.must("UNSUBSCRIBE Drafts");
}

/// UIDs and texts of a mailbox, as our IMAP gives them.
fn texts(imap: &mut Imap, mailbox: &str) -> Vec<(u32, Vec<u8>)> {
    imap.must(&format!("EXAMINE \"{mailbox}\""));
    let found = imap.must("UID SEARCH ALL");
    let found = found.with("SEARCH").next().unwrap_or_default().to_owned();
    let uids = found.split(' ').filter_map(|uid| uid.parse().ok());
    uids.map(|uid| (uid, imap.fetch_bytes(uid))).collect()
}

#[test]
fn dovecot_reads_our_tree_byte_for_byte() {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = Setup::new().with_alice_and_bob().start();
    fill(&server);
    let mut imap = bob(&server);
    let ours = MAILBOXES.map(|(wire, name)| (name, texts(&mut imap, wire)));
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::on_a_copy(doveadm, &server);
    for (mailbox, texts) in ours {
        assert!(!texts.is_empty(), "{mailbox}");
        dovecot.doveadm(&["force-resync", mailbox]);
        let listed = dovecot.doveadm(&["-f", "flow", "fetch", "uid", "mailbox", mailbox, "all"]);
        let expected: String = texts
            .iter()
            .map(|(uid, _)| format!("uid={uid}\n"))
            .collect();
        assert_eq!(String::from_utf8_lossy(&listed), expected, "{mailbox}");
        for (uid, text) in texts {
            assert!(
                dovecot.fetch("text", mailbox, uid) == text,
                "{mailbox} {uid}"
            );
            let size = dovecot.fetch("size.virtual", mailbox, uid);
            assert_eq!(size, text.len().to_string().as_bytes(), "{mailbox} {uid}");
            if mailbox != "INBOX" {
                let received = dovecot.fetch("date.received.unixtime", mailbox, uid);
                assert_eq!(received, b"1233531090", "{mailbox} {uid}");
            }
        }
    }
    let mailboxes = [
        ".hidden",
        "Archive",
        "Archive/2026",
        "Archive/2026/January",
        "Drafts",
        "INBOX",
        "Junk",
        "Sent",
        "Tab \"quoted\"",
        "Trash",
        "Été & Hiver",
        "Été & Hiver/日本",
    ];
    assert_eq!(dovecot.lines(&["mailbox", "list"]), mailboxes);
    let subscribed = [
        "Archive",
        "INBOX",
        "Junk",
        "Sent",
        "Trash",
        "Été & Hiver/日本",
    ];
    assert_eq!(dovecot.lines(&["mailbox", "list", "-s"]), subscribed);
}

/// Messages, by their number from 1, of which we say something else, and why.
const DESCRIBED_OTHERWISE: [(u32, &str); 4] = [
    (
        14,
        "the line end before an outer boundary is not in the part, RFC 2046 section 5.1.1",
    ),
    (
        18,
        "a multipart without a boundary is one opaque part, not one with an empty text in it",
    ),
    (
        21,
        "a type that is none is text/plain, RFC 2045 section 5.2",
    ),
    (22, "parameters of RFC 2231 are named as they were"),
];

/// The same with quoted strings in place of literals: Dovecot quotes nothing that needs an escape.
fn quoted(described: &str) -> String {
    let mut out = String::new();
    let mut rest = described;
    while let Some((before, literal)) = rest.split_once('{') {
        let (length, after) = literal.split_once("}\r\n").expect("a literal");
        let (text, after) = after.split_at(bytes_of(after, length.parse().expect("a length")));
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        out.push_str(&format!("{before}\"{text}\""));
        rest = after;
    }
    out + rest
}

/// How long the beginning of `text` is that had `count` bytes before what is no UTF-8 was replaced,
/// byte by byte.
fn bytes_of(text: &str, count: usize) -> usize {
    let mut left = count;
    let beginning = text.chars().take_while(|&char| {
        let had = if char == char::REPLACEMENT_CHARACTER {
            1
        } else {
            char.len_utf8()
        };
        let taken = left >= had && left > 0;
        left = left.saturating_sub(had);
        taken
    });
    beginning.map(char::len_utf8).sum()
}

/// ENVELOPE, BODYSTRUCTURE and BODY of the first messages of the selected mailbox, without the
/// parentheses around each.
fn descriptions(imap: &mut Imap, count: usize) -> Vec<(u32, &'static str, String)> {
    let mut all = Vec::new();
    for uid in (1..).take(count) {
        for item in ["ENVELOPE", "BODYSTRUCTURE", "BODY"] {
            let fetched = imap.must(&format!("UID FETCH {uid} ({item})"));
            let line = fetched
                .with("FETCH")
                .next()
                .expect("the message")
                .to_owned();
            let (_, described) = line.split_once(&format!("{item} (")).expect("the item");
            let described = described.strip_suffix("))").expect("its end");
            all.push((uid, item, quoted(described)));
        }
    }
    all
}

#[test]
fn dovecot_describes_messages_as_we_do() {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = Setup::new().with_alice_and_bob().start();
    let mut imap = bob(&server);
    for message in AWKWARD {
        assert!(imap.append_bytes("INBOX", message).is_ok());
    }
    imap.must("EXAMINE INBOX");
    let ours = descriptions(&mut imap, AWKWARD.len());
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::on_a_copy(doveadm, &server);
    dovecot.doveadm(&["force-resync", "INBOX"]);
    for (uid, item, described) in ours {
        let theirs = dovecot.fetch(&format!("imap.{}", item.to_lowercase()), "INBOX", uid);
        let theirs = quoted(&String::from_utf8_lossy(&theirs));
        match DESCRIBED_OTHERWISE.iter().find(|(other, _)| *other == uid) {
            None => assert_eq!(described, theirs, "{item} of {uid}"),
            Some((_, reason)) if item != "ENVELOPE" => {
                assert_ne!(described, theirs, "{item} of {uid} is the same: {reason}");
            }
            Some(_) => {}
        }
    }
}

/// A message of some hundred kilobytes that can be compressed.
fn large() -> Vec<u8> {
    let mut text = String::from("Subject: large\r\nFrom: a@b.example\r\n\r\n");
    for line in 0..20_000_u32 {
        text.push_str(&format!(
            "line {line} of it {:x}\r\n",
            line.wrapping_mul(2_654_435_761)
        ));
    }
    text.push_str("the needle at its end\r\n");
    text.into_bytes()
}

#[test]
fn dovecot_and_clients_read_what_we_compressed() {
    let Some(doveadm) = require_peer("doveadm") else {
        return;
    };
    let mut server = Setup::new()
        .with_alice_and_bob()
        .sections(
            "[auth]\nplaintext_auth_on_loopback = true\nauth_failure_delay = \"0s\"\n\
             [storage]\nzlib_save = \"zstd\"\n",
        )
        .start();
    let mut imap = bob(&server);
    let large = large();
    for message in AWKWARD.into_iter().chain([&large[..]]) {
        assert!(imap.append_bytes("INBOX", message).is_ok());
    }
    let last = u32::try_from(AWKWARD.len() + 1).expect("few messages");
    let stored = server.data().join(format!(
        "mail/example.test/bob/mailboxes/INBOX/dbox-Mails/u.{last}"
    ));
    let stored = std::fs::read(stored).expect("the large message");
    assert!(stored.len() < large.len() * 2 / 3, "it is compressed");
    let ours = texts(&mut imap, "INBOX");
    assert!(ours.last().is_some_and(|(_, text)| *text == large));
    let found = imap.must("UID SEARCH BODY \"needle at its\"");
    assert_eq!(
        found.with("SEARCH").next(),
        Some(&*format!("SEARCH {last}"))
    );
    let size = format!("RFC822.SIZE {}", large.len());
    let fetched = imap.must(&format!("UID FETCH {last} (RFC822.SIZE)"));
    assert!(
        fetched
            .with("FETCH")
            .next()
            .is_some_and(|line| line.contains(&size))
    );
    let part = imap.must(&format!(
        "UID FETCH {last} BODY.PEEK[]<{}.13>",
        large.len() - 15
    ));
    let part = part.with("FETCH").next().expect("a part").to_owned();
    assert!(part.ends_with("{13}\r\nle at its end)"), "{part}");
    let mut pop3 = server.pop3(BOB, "bob-password");
    let lines = pop3.lines(&format!("RETR {last}"));
    assert_eq!(lines.join("\r\n") + "\r\n", String::from_utf8_lossy(&large));
    assert_eq!(pop3.lines(&format!("TOP {last} 1")).len(), 4);
    drop(pop3);
    drop(imap);
    assert!(server.stop().success());
    let dovecot = Dovecot::with_plugins(doveadm, &server, "zlib");
    dovecot.doveadm(&["force-resync", "INBOX"]);
    for (uid, text) in ours {
        assert!(dovecot.fetch("text", "INBOX", uid) == text, "{uid}");
        let size = dovecot.fetch("size.virtual", "INBOX", uid);
        assert_eq!(size, text.len().to_string().as_bytes(), "{uid}");
    }
}
