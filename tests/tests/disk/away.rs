//! The disk with the mail is not mounted.

use std::fs;

use crate::{BOB, Ledger, calm, setup};
use facteur_tests::{Imap, wait_for};

#[test]
fn mail_waits_while_the_folder_of_all_homes_is_empty() {
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    let root = place.path().join("mail");
    let location = format!("sdbox:{}/%d/%n", root.display());
    let mut facteur = setup(&format!("[storage]\nmail_location = \"{location}\"\n")).start();
    let mut ledger = Ledger::default();
    ledger.must_send(&facteur, 1000);
    facteur.stop();
    let away = place.path().join("away");
    fs::rename(&root, &away).unwrap();
    fs::create_dir(&root).unwrap();
    std::os::unix::fs::chown(&root, Some(65534), Some(65534)).unwrap();
    facteur.restart();

    let said = "there was mail in it: is its disk mounted?";
    assert!(facteur.log().contains(said), "{}", facteur.log());
    let login =
        Imap::connect(facteur.address("imap")).command("LOGIN bob@example.test bob-password");
    assert!(login.tagged.starts_with("NO [UNAVAILABLE] "), "{login:?}");
    let (code, line) = ledger.send(&facteur, 1000);
    assert!(code == 250 || code == 451, "{code} {line}");
    let check = facteur.cli(&["account", "check", "--all"], "");
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success() && told.contains(said), "{told}");
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0);

    fs::remove_dir(&root).unwrap();
    fs::rename(&away, &root).unwrap();
    facteur.must(&["queue", "flush"], "");
    wait_for("an empty queue", || {
        let queue = facteur.must(&["queue", "list"], "");
        queue.contains("The queue is empty.").then_some(())
    });
    ledger.must_send(&facteur, 1000);
    ledger.holds(&facteur);
    facteur.must(&["account", "check", "--all"], "");
    calm(&facteur);
}

#[test]
fn home_that_is_gone_for_good_is_forgotten_on_demand() {
    let mut facteur = setup("").start();
    let mut ledger = Ledger::default();
    ledger.must_send(&facteur, 1000);
    let refused = facteur.cli(&["account", "forget", BOB], "");
    let told = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert!(
        !refused.status.success() && told.contains("its mail home is there"),
        "{told}"
    );
    facteur.kill();
    fs::remove_dir_all(facteur.data().join("mail/example.test/bob")).unwrap();
    // The folder of all homes is not empty.
    fs::create_dir_all(facteur.data().join("mail/example.test/alice")).unwrap();
    facteur.restart();
    facteur.must(&["account", "remove", BOB], "");
    let forgotten = facteur.must(&["account", "forget", BOB], "");
    assert!(forgotten.contains("1 messages among them"), "{forgotten}");
    let nothing = facteur.must(&["account", "forget", BOB], "");
    assert!(
        nothing.contains("the journal has nothing of it"),
        "{nothing}"
    );
    calm(&facteur);
}
