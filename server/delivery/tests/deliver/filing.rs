//! Into which mailbox, and how it looks there.

use std::fs;

use facteur_delivery::{Options, Outcome};
use facteur_model::{Flag, MailboxName};

use crate::house::{House, MESSAGE};

const BOB: &str = "bob@example.org";

#[test]
fn message_without_script_lies_in_the_inbox_with_its_trace() {
    let house = House::new(Options::default());
    let done = house.send("bob+x@example.org");
    assert_eq!(done.outcomes, [Outcome::Delivered]);
    let expected = format!(
        "Return-Path: <ann@example.net>\r\nDelivered-To: bob+x@example.org\r\n\
         Received: from a by b\r\n\tid c; Mon, 7 Sep 2020 10:00:00 +0000\r\n{MESSAGE}"
    );
    assert_eq!(house.messages(BOB, "INBOX"), [expected]);
}

#[test]
fn null_sender_is_written_as_one() {
    let house = House::new(Options::default());
    let mut message = house.arrived(MESSAGE);
    message.reverse_path = None;
    house.deliver(&message, &[house.recipient(BOB)]);
    assert!(house.messages(BOB, "INBOX")[0].starts_with("Return-Path: <>\r\n"));
}

/// The global script that a tutorial puts after the users' own.
const GLOBAL: &str = "require [\"fileinto\", \"envelope\", \"subaddress\"];\n\
    if header :contains \"subject\" \"SPAM\"\n{\n        fileinto \"Spam\";\n}\n";

fn house_with_global() -> House {
    House::with(128 * 1024, |folder| {
        let path = folder.join("global.sieve");
        fs::write(&path, GLOBAL).unwrap();
        let mut options = Options::default();
        options.sieve.after = vec![path, folder.join("not-there.sieve")];
        options
    })
}

#[test]
fn script_after_files_what_the_users_left_in_the_inbox() {
    let house = house_with_global();
    let spam = MESSAGE.replace("Hello", "[SPAM] Hello");
    house.deliver(&house.arrived(&spam), &[house.recipient(BOB)]);
    house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 1)
    );
    // An explicit keep goes to the next script as an implicit one does.
    house.script(BOB, "keep;");
    house.deliver(&house.arrived(&spam), &[house.recipient(BOB)]);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (2, 1)
    );
    // What the user's script files is not looked at again.
    house.script(
        BOB,
        "require [\"fileinto\", \"mailbox\"]; fileinto :create \"Mine\";",
    );
    house.deliver(&house.arrived(&spam), &[house.recipient(BOB)]);
    assert_eq!((house.count(BOB, "Spam"), house.count(BOB, "Mine")), (2, 1));
}

#[test]
fn script_before_runs_first_and_may_end_it() {
    let house = House::with(128 * 1024, |folder| {
        let before = folder.join("before");
        fs::create_dir(&before).unwrap();
        let flag = "require \"imap4flags\"; addflag \"$First\";";
        fs::write(before.join("10-flag.sieve"), flag).unwrap();
        let drop = "if header :is \"subject\" \"Hello\" { discard; }";
        fs::write(before.join("20-drop.sieve"), drop).unwrap();
        let mut options = Options::default();
        options.sieve.before = vec![before];
        options
    });
    house.script(BOB, "require \"imap4flags\"; addflag \"\\\\Flagged\";");
    assert_eq!(house.send(BOB).outcomes, [Outcome::Delivered]);
    assert_eq!(house.count(BOB, "INBOX"), 0);
    let other = MESSAGE.replace("Hello", "Other");
    house.deliver(&house.arrived(&other), &[house.recipient(BOB)]);
    let inbox = house.account(BOB).open(&MailboxName::inbox()).unwrap();
    let snapshot = inbox.snapshot();
    let message = snapshot.by_sequence(1).unwrap();
    assert!(message.flags.contains(Flag::Flagged));
    let keywords = snapshot.keywords(message.keywords).iter();
    assert_eq!(keywords.map(|k| k.as_str()).collect::<Vec<_>>(), ["$First"]);
}

#[test]
fn default_script_runs_only_without_an_active_one() {
    let house = House::with(128 * 1024, |folder| {
        let path = folder.join("default.sieve");
        fs::write(&path, "discard;").unwrap();
        let mut options = Options::default();
        options.sieve.default = Some(path);
        options
    });
    house.send(BOB);
    assert_eq!(house.count(BOB, "INBOX"), 0);
    house.script(BOB, "keep;");
    house.send(BOB);
    assert_eq!(house.count(BOB, "INBOX"), 1);
}

#[test]
fn missing_mailbox_is_the_inbox_unless_it_may_be_made() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"fileinto\"; fileinto \"A/B\";");
    house.send(BOB);
    assert_eq!((house.count(BOB, "A/B"), house.count(BOB, "INBOX")), (0, 1));
    house.script(
        BOB,
        "require [\"fileinto\", \"mailbox\"]; fileinto :create \"A/B\";",
    );
    house.send(BOB);
    assert_eq!((house.count(BOB, "A/B"), house.count(BOB, "INBOX")), (1, 1));
    house.script(BOB, "require \"fileinto\"; fileinto \"../x\";");
    house.send(BOB);
    assert_eq!(house.count(BOB, "INBOX"), 2);

    let options = Options {
        lda_mailbox_autocreate: true,
        ..Options::default()
    };
    let house = House::new(options);
    house.script(BOB, "require \"fileinto\"; fileinto \"A/B\";");
    house.send(BOB);
    assert_eq!((house.count(BOB, "A/B"), house.count(BOB, "INBOX")), (1, 0));
}

#[test]
fn one_copy_lies_in_each_mailbox() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require [\"fileinto\", \"copy\", \"special-use\"];\n\
         fileinto \"Spam\"; fileinto :copy \"Spam\"; fileinto :specialuse \"\\\\Junk\" \"x\"; keep;",
    );
    let done = house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 1)
    );
    assert_eq!(done.committed.appended.len(), 2);
}

#[test]
fn names_in_scripts_are_those_that_clients_see() {
    let options = Options {
        separator: '.',
        alias_prefixes: vec!["INBOX.".to_owned()],
        ..Options::default()
    };
    let house = House::new(options);
    house.script(
        BOB,
        "require [\"fileinto\", \"mailbox\"]; fileinto :create \"Inbox.A.B\";",
    );
    house.send(BOB);
    assert_eq!(house.count(BOB, "A/B"), 1);
}

#[test]
fn detail_is_a_mailbox_when_configured() {
    let plain = House::new(Options::default());
    plain.send("bob+Spam@example.org");
    assert_eq!(plain.count(BOB, "INBOX"), 1);

    let options = Options {
        lmtp_save_to_detail_mailbox: true,
        ..Options::default()
    };
    let house = House::new(options);
    house.send("bob+Spam@example.org");
    house.send("bob+None@example.org");
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 1)
    );
}

#[test]
fn changed_message_is_what_later_scripts_see_and_what_is_kept() {
    let house = House::with(128 * 1024, |folder| {
        let path = folder.join("after.sieve");
        let after = "require \"fileinto\"; if exists \"X-New\" { fileinto \"Spam\"; }";
        fs::write(&path, after).unwrap();
        let mut options = Options::default();
        options.sieve.after = vec![path];
        options
    });
    house.script(
        BOB,
        "require \"editheader\"; addheader \"X-New\" \"yes\"; deleteheader \"to\";",
    );
    house.send(BOB);
    let text = house.messages(BOB, "Spam").remove(0);
    assert!(
        text.starts_with("X-New: yes\r\nReturn-Path: <ann@example.net>\r\n"),
        "{text}"
    );
    assert!(
        !text.contains("\r\nTo:") && text.ends_with("\r\n\r\nA body.\r\n"),
        "{text}"
    );
    assert_eq!(text.matches("Received:").count(), 1, "{text}");
}

#[test]
fn staged_message_is_filtered_from_its_file() {
    let house = House::with(16, |_| Options::default());
    house.script(
        BOB,
        "require [\"fileinto\", \"body\", \"mailbox\"];\n\
         if size :over 1M { fileinto :create \"Large\"; stop; }\n\
         if body :contains \"needle\" { fileinto :create \"Found\"; }",
    );
    let large = format!("{MESSAGE}{}", "x\r\n".repeat(400_000));
    let found = format!("{MESSAGE}a needle\r\n");
    for text in [large.as_str(), found.as_str(), MESSAGE] {
        house.deliver(&house.arrived(text), &[house.recipient(BOB)]);
    }
    let counts = ["Large", "Found", "INBOX"].map(|mailbox| house.count(BOB, mailbox));
    assert_eq!(counts, [1, 1, 1]);
    assert!(house.messages(BOB, "Large")[0].ends_with(&large));
}
