//! What each recipient's delivery comes to.

use facteur_delivery::{Options, Outcome, PutOff};
use facteur_directory::QuotaLimits;

use crate::house::{House, MESSAGE};

fn bytes(limit: u64) -> QuotaLimits {
    QuotaLimits {
        bytes: Some(limit),
        ..facteur_directory::QuotaLimits::default()
    }
}

#[test]
fn one_transaction_has_an_outcome_for_each_recipient() {
    let house = House::new(Options::default());
    house.script(
        "rejecting@example.org",
        "require \"reject\"; reject \"Not me.\";",
    );
    house.script("broken@example.org", "require \"nothing\"; discard;");
    house.script("remote@example.org", "redirect \"elsewhere@example.com\";");
    let recipients = [
        house.recipient("kept@example.org"),
        house.recipient("rejecting@example.org"),
        house.recipient_with("full@example.org", bytes(10)),
        house.recipient("broken@example.org"),
        house.recipient("remote@example.org"),
    ];
    let done = house.deliver(&house.arrived(MESSAGE), &recipients);
    assert_eq!(
        done.outcomes,
        [
            Outcome::Delivered,
            Outcome::Rejected {
                reason: "Not me.".to_owned()
            },
            Outcome::OverQuota { temporary: false },
            Outcome::Delivered,
            Outcome::Delivered,
        ]
    );
    let inboxes = recipients
        .each_ref()
        .map(|recipient| house.count(&recipient.account.address.to_string(), "INBOX"));
    assert_eq!(inboxes, [1, 0, 0, 1, 0]);
    let to: Vec<_> = done
        .sent
        .iter()
        .map(|(entry, _)| entry.recipients[0].forward_path.as_str())
        .collect();
    assert_eq!(to, ["elsewhere@example.com"]);
    // Each copy is known by the delivery it was made for.
    let copies = done.committed.appended.len();
    assert_eq!(copies, 2);
}

#[test]
fn accepted_message_may_overshoot_by_the_grace() {
    let house = House::new(Options::default());
    house.send("bob@example.org");
    let size = house.account("bob@example.org").usage().unwrap().bytes;
    let outcome = |limit| {
        let recipient = house.recipient_with("bob@example.org", bytes(limit));
        house
            .deliver(&house.arrived(MESSAGE), &[recipient])
            .outcomes
            .remove(0)
    };
    // A second one makes 2 × size; the grace is a tenth.
    assert_eq!(
        outcome(size * 2 * 100 / 115),
        Outcome::OverQuota { temporary: false }
    );
    assert_eq!(house.count("bob@example.org", "INBOX"), 1);
    assert_eq!(outcome(size * 2 * 100 / 105), Outcome::Delivered);
    assert_eq!(house.count("bob@example.org", "INBOX"), 2);
}

#[test]
fn of_two_planned_at_once_the_second_is_refused_when_both_do_not_fit() {
    let house = House::new(Options::default());
    house.send("bob@example.org");
    let size = house.account("bob@example.org").usage().unwrap().bytes;
    let plan = || {
        let recipients = [
            house.recipient_with("bob@example.org", bytes(size * 2)),
            house.recipient("ann@example.org"),
        ];
        let mut batch = facteur_store::Batch::default();
        let deliverer = &house.deliverer;
        let outcomes = deliverer.plan(
            &house.arrived(MESSAGE),
            &recipients,
            &mut PutOff::default(),
            &mut batch,
        );
        (outcomes, batch)
    };
    let [(first, one), (second, two)] = [plan(), plan()];
    assert_eq!(first, [Outcome::Delivered, Outcome::Delivered]);
    assert_eq!(first, second);
    house.store.commit(one).unwrap();
    let refused = house.store.commit(two);
    assert!(matches!(refused, Err(facteur_store::StoreError::OverQuota)));
    // Of what is refused nothing is there; planned anew it says who has no room.
    assert_eq!(house.count("ann@example.org", "INBOX"), 1);
    let (again, batch) = plan();
    let full = Outcome::OverQuota { temporary: false };
    assert_eq!(again, [full, Outcome::Delivered]);
    house.store.commit(batch).unwrap();
    let counts = ["bob@example.org", "ann@example.org"].map(|who| house.count(who, "INBOX"));
    assert_eq!(counts, [2, 2]);
}

#[test]
fn what_goes_nowhere_needs_no_quota() {
    let house = House::new(Options {
        quota_full_tempfail: true,
        ..Options::default()
    });
    let send = || {
        let recipient = house.recipient_with("bob@example.org", bytes(10));
        house
            .deliver(&house.arrived(MESSAGE), &[recipient])
            .outcomes
    };
    assert_eq!(send(), [Outcome::OverQuota { temporary: true }]);
    house.script("bob@example.org", "discard;");
    assert_eq!(send(), [Outcome::Delivered]);
}

#[test]
fn planning_the_same_delivery_again_adds_no_copy() {
    let house = House::new(Options::default());
    house.script(
        "bob@example.org",
        "require [\"fileinto\", \"copy\"]; fileinto :copy \"Spam\";",
    );
    let (message, mut recipient) = (house.arrived(MESSAGE), house.recipient("bob@example.org"));
    for repeated in [false, true] {
        recipient.repeated = repeated;
        house.deliver(&message, std::slice::from_ref(&recipient));
    }
    assert_eq!(house.count("bob@example.org", "INBOX"), 1);
    assert_eq!(house.count("bob@example.org", "Spam"), 1);
}
