//! What scripts send: redirected mail, vacation replies, notifications.

use facteur_address::Address;
use facteur_delivery::{Options, Outcome, RedirectSender};

use crate::house::{House, MESSAGE, NOW};

const BOB: &str = "bob@example.org";

#[test]
fn redirected_message_says_from_where_and_keeps_its_sender() {
    let house = House::new(Options::default());
    house.script(BOB, "redirect \"carl@example.com\";");
    let done = house.send(BOB);
    let [(entry, body)] = &done.sent[..] else {
        panic!("{done:?}");
    };
    assert_eq!(entry.reverse_path, "ann@example.net");
    assert_eq!(entry.recipients[0].forward_path, "carl@example.com");
    assert_eq!(
        entry.prefix,
        "X-Sieve-Redirected-From: bob@example.org\r\n\
         Received: from a by b\r\n\tid c; Mon, 7 Sep 2020 10:00:00 +0000\r\n"
    );
    assert_eq!(body, MESSAGE);
    assert_eq!(entry.size, MESSAGE.len() as u64);
    assert_eq!(house.count(BOB, "INBOX"), 0);
}

#[test]
fn redirect_that_came_back_is_kept() {
    let house = House::new(Options::default());
    house.script(BOB, "redirect \"carl@example.com\";");
    let again = format!("X-Sieve-Redirected-From: BOB@example.org\r\n{MESSAGE}");
    let done = house.deliver(&house.arrived(&again), &[house.recipient(BOB)]);
    assert!(done.sent.is_empty());
    assert_eq!(house.count(BOB, "INBOX"), 1);
    // Nor one that never left this server, whose field lies before the body.
    let mut here = house.arrived(MESSAGE);
    here.prefix = "X-Sieve-Redirected-From: bob@example.org\r\n".into();
    assert!(
        house
            .deliver(&here, &[house.recipient(BOB)])
            .sent
            .is_empty()
    );
    // Another account's field is no loop.
    let other = format!("X-Sieve-Redirected-From: eve@example.org\r\n{MESSAGE}");
    let done = house.deliver(&house.arrived(&other), &[house.recipient(BOB)]);
    assert_eq!(done.sent.len(), 1);
}

#[test]
fn message_that_came_far_is_not_redirected() {
    let house = House::new(Options::default());
    house.script(BOB, "redirect \"carl@example.com\";");
    let far = format!("{}{MESSAGE}", "Received: from x by y\r\n".repeat(60));
    let done = house.deliver(&house.arrived(&far), &[house.recipient(BOB)]);
    assert_eq!((done.sent.len(), house.count(BOB, "INBOX")), (0, 1));
}

#[test]
fn redirect_sender_is_as_configured_but_null_stays_null() {
    let mut options = Options::default();
    let address = Address::parse("list@example.org").unwrap();
    options.sieve.redirect_envelope_from = RedirectSender::Address(address);
    let house = House::new(options);
    house.script(BOB, "redirect \"carl@example.com\";");
    assert_eq!(house.send(BOB).sent[0].0.reverse_path, "list@example.org");
    let mut bounce = house.arrived(MESSAGE);
    bounce.reverse_path = None;
    let done = house.deliver(&bounce, &[house.recipient(BOB)]);
    assert_eq!(done.sent[0].0.reverse_path, "");
}

#[test]
fn changed_message_is_redirected_without_its_return_path() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require \"editheader\"; addheader :last \"X-New\" \"yes\"; redirect \"carl@example.com\";",
    );
    let done = house.send(BOB);
    let (entry, body) = &done.sent[0];
    assert_eq!(entry.prefix, "X-Sieve-Redirected-From: bob@example.org\r\n");
    assert!(
        body.starts_with("Delivered-To: bob@example.org\r\nReceived: "),
        "{body}"
    );
    assert!(body.contains("X-New: yes\r\n"), "{body}");
}

#[test]
fn vacation_replies_once_in_its_period() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"vacation\"; vacation :days 3 \"Away.\";");
    let send = |now| {
        let mut message = house.arrived(MESSAGE);
        message.now = now;
        let done = house.deliver(&message, &[house.recipient(BOB)]);
        assert_eq!(done.outcomes, [Outcome::Delivered]);
        done.sent
    };
    let first = send(NOW);
    let [(entry, body)] = &first[..] else {
        panic!("{first:?}");
    };
    assert_eq!(
        (entry.reverse_path.as_str(), entry.prefix.as_str()),
        ("", "")
    );
    assert_eq!(entry.recipients[0].forward_path, "ann@example.net");
    assert!(body.contains("\r\nSubject: Auto: Hello\r\n"), "{body}");
    assert!(
        body.contains("\r\nIn-Reply-To: <1@example.net>\r\n"),
        "{body}"
    );
    assert!(send(NOW + 1).is_empty());
    assert!(send(NOW + 3 * 86_400 - 1).is_empty());
    assert_eq!(send(NOW + 3 * 86_400 + 1).len(), 1);
    assert_eq!(house.count(BOB, "INBOX"), 4);
}

#[test]
fn vacation_answers_neither_null_sender_nor_mail_to_others() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"vacation\"; vacation \"Away.\";");
    let mut bounce = house.arrived(MESSAGE);
    bounce.reverse_path = None;
    assert!(
        house
            .deliver(&bounce, &[house.recipient(BOB)])
            .sent
            .is_empty()
    );
    let list = MESSAGE.replace("To: bob@", "To: everybody@");
    let done = house.deliver(&house.arrived(&list), &[house.recipient(BOB)]);
    assert!(done.sent.is_empty());
}

#[test]
fn over_quota_recipient_sends_nothing_and_remembers_nothing() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"vacation\"; vacation \"Away.\";");
    let quota = facteur_directory::QuotaLimits {
        bytes: Some(10),
        ..facteur_directory::QuotaLimits::default()
    };
    let full = house.recipient_with(BOB, quota);
    let done = house.deliver(&house.arrived(MESSAGE), &[full]);
    assert_eq!(done.outcomes, [Outcome::OverQuota { temporary: false }]);
    assert!(done.sent.is_empty());
    assert_eq!(house.send(BOB).sent.len(), 1);
}

#[test]
fn notification_goes_out_from_nobody() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require \"enotify\"; notify :message \"Mail!\" \"mailto:pager@example.com\";",
    );
    let done = house.send(BOB);
    let (entry, body) = &done.sent[0];
    assert_eq!(entry.reverse_path, "");
    assert_eq!(entry.recipients[0].forward_path, "pager@example.com");
    assert!(body.contains("\r\nSubject: Mail!\r\n"), "{body}");
    assert_eq!(house.count(BOB, "INBOX"), 1);
}

#[test]
fn duplicate_is_remembered_with_the_message() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"duplicate\"; if duplicate { discard; }");
    house.send(BOB);
    house.send(BOB);
    assert_eq!(house.count(BOB, "INBOX"), 1);
}

#[test]
fn copy_of_a_reply_without_its_mailbox_does_not_take_the_place_of_the_message() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require [\"vacation\", \"fcc\"]; vacation :fcc \"Missing\" \"away\"; discard;",
    );
    let done = house.send(BOB);
    assert_eq!((done.sent.len(), house.count(BOB, "INBOX")), (1, 0));
}

#[test]
fn notification_that_is_not_sent_leaves_no_copy() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require [\"enotify\", \"fcc\"]; notify :fcc \"INBOX\" \"mailto:a@example.com\";",
    );
    let automatic = format!("Auto-Submitted: auto-replied\r\n{MESSAGE}");
    let done = house.deliver(&house.arrived(&automatic), &[house.recipient(BOB)]);
    assert_eq!((done.sent.len(), house.count(BOB, "INBOX")), (0, 1));
}

#[test]
fn mail_to_oneself_gets_no_vacation_reply() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"vacation\"; vacation \"away\";");
    let mut own = house.arrived(MESSAGE);
    own.reverse_path = Address::parse("Bob@Example.org").ok();
    let done = house.deliver(&own, &[house.recipient(BOB)]);
    assert_eq!((done.sent.len(), house.count(BOB, "INBOX")), (0, 1));
    assert_eq!(house.send(BOB).sent.len(), 1);
}
