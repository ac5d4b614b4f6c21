//! Scripts that do not work, or do too much: the mail is kept, and nobody waits.

use facteur_delivery::{Options, Outcome};

use crate::house::{House, MESSAGE};

const BOB: &str = "bob@example.org";

#[test]
fn broken_script_keeps_the_mail_until_it_is_edited() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"fileinto\"; fileinto \"Spam\"; frobnicate;");
    for kept in 1..3 {
        assert_eq!(house.send(BOB).outcomes, [Outcome::Delivered]);
        assert_eq!(house.count(BOB, "INBOX"), kept);
    }
    house.script(BOB, "require \"fileinto\"; fileinto \"Spam\";");
    house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 2)
    );
}

#[test]
fn costly_script_is_suspended_and_nothing_it_began_is_done() {
    let mut options = Options::default();
    options.sieve.max_instructions = 20;
    let house = House::new(options);
    let costly = format!(
        "require \"fileinto\"; if header :is \"subject\" \"Hello\" {{ fileinto \"Spam\"; {} }}",
        "if true { keep; }".repeat(50)
    );
    house.script(BOB, &costly);
    house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (0, 1)
    );
    // Suspended: also where it would not be costly.
    let other = MESSAGE.replace("Hello", "Other");
    house.deliver(&house.arrived(&other), &[house.recipient(BOB)]);
    assert_eq!(house.count(BOB, "INBOX"), 2);
}

#[test]
fn script_that_has_no_time_left_defers_its_recipient_only() {
    let mut options = Options::default();
    options.sieve.max_transaction_time = std::time::Duration::ZERO;
    let house = House::new(options);
    house.script(BOB, "keep;");
    let recipients = [house.recipient(BOB), house.recipient("eve@example.org")];
    let done = house.deliver(&house.arrived(MESSAGE), &recipients);
    assert!(
        matches!(
            &done.outcomes[..],
            [Outcome::Deferred { .. }, Outcome::Delivered]
        ),
        "{done:?}"
    );
    assert_eq!(house.count(BOB, "INBOX"), 0);
    assert_eq!(house.count("eve@example.org", "INBOX"), 1);
}

#[test]
fn script_that_takes_too_long_is_left_behind_and_suspended() {
    let mut options = Options::default();
    options.sieve.max_time = std::time::Duration::from_secs(1);
    let house = House::new(options);
    // Each of these tries a million ways before it gives up.
    let slow = "if header :regex \"x-a\" \"^(a*)*\\\\1b$\" { stop; }\n".repeat(100);
    let script = format!("require [\"regex\", \"fileinto\"]; {slow} fileinto \"Spam\";");
    assert_eq!(facteur_delivery::sieve::check(script.as_bytes()), Ok(()));
    house.script(BOB, &script);
    let hostile = format!("X-A: {}c\r\n{MESSAGE}", "a".repeat(60));
    let done = house.deliver(&house.arrived(&hostile), &[house.recipient(BOB)]);
    assert_eq!(done.outcomes, [Outcome::Delivered]);
    assert_eq!(house.count(BOB, "INBOX"), 1);
    house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (0, 2)
    );
}

#[test]
fn missing_include_keeps_the_mail_and_works_once_it_is_there() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"include\"; include \"other\";");
    house.send(BOB);
    assert_eq!(house.count(BOB, "INBOX"), 1);
    let account = house.account(BOB);
    let other = "require \"fileinto\"; fileinto \"Spam\";";
    account.put_script("other", other.as_bytes()).unwrap();
    house.send(BOB);
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 1)
    );
}

#[test]
fn script_that_includes_itself_ends() {
    let house = House::new(Options::default());
    house.script(BOB, "require \"include\"; include \"main\";");
    assert_eq!(house.send(BOB).outcomes, [Outcome::Delivered]);
    assert_eq!(house.count(BOB, "INBOX"), 1);
}

#[test]
fn hostile_messages_are_kept_and_filtered_no_further() {
    let house = House::new(Options::default());
    house.script(
        BOB,
        "require [\"fileinto\", \"body\"]; if body :contains \"x\" { fileinto \"Spam\"; }",
    );
    let nested = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
    let fields = format!("{}\r\nx", "a: b\r\n".repeat(300_000));
    for text in [
        nested,
        fields,
        "\r\n".to_owned(),
        "\0\u{fffd}: \r\n\r\nx".to_owned(),
    ] {
        let done = house.deliver(&house.arrived(&text), &[house.recipient(BOB)]);
        assert_eq!(done.outcomes, [Outcome::Delivered]);
    }
    assert_eq!(
        (house.count(BOB, "Spam"), house.count(BOB, "INBOX")),
        (1, 3)
    );
    // None of it was the script's fault.
    house.deliver(&house.arrived("a: b\r\n\r\nx\r\n"), &[house.recipient(BOB)]);
    assert_eq!(house.count(BOB, "Spam"), 2);
}
