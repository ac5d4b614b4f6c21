//! Disks that fail, and disks that the kernel has given up writing to.

use facteur_tests::{Facteur, Forgetful, Image, Imap, require_root, wait_for};
use rustix::io::Errno;

use crate::{Ledger, bob, by_lmtp, calm, message, put_script, setup, small::Small};

/// A server whose mail lies on a disk that can be made to fail under it.
struct Failing {
    facteur: Facteur,
    disk: Forgetful,
    _place: tempfile::TempDir,
}

impl Failing {
    fn start() -> Option<Self> {
        if !require_root("mounting a file system") {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let disk = Forgetful::mount(place.path(), Image::new(65534));
        let location = format!("sdbox:{}/%d/%n", place.path().display());
        let facteur = setup(&format!("[storage]\nmail_location = \"{location}\"\n")).start();
        Some(Self {
            facteur,
            disk,
            _place: place,
        })
    }
}

/// Everything that writes is refused with a temporary error and the code of a disk that fails; what reads works.
fn refuses(facteur: &Facteur, ledger: &mut Ledger, open: &mut Imap) {
    let (code, line) = ledger.send(facteur, 20_000);
    assert_eq!((code, line.get(..6)), (451, Some("4.3.0 ")), "{line}");
    for (code, line) in by_lmtp(facteur, "refused by LMTP", 1000) {
        assert_eq!((code, line.get(..6)), (451, Some("4.3.0 ")), "{line}");
    }
    let append = open.append("INBOX", &message("appended", 1000));
    assert!(
        ["NO [SERVERBUG] ", "NO [UNAVAILABLE] "]
            .iter()
            .any(|code| append.tagged.starts_with(code)),
        "{append:?}"
    );
    assert!(put_script(facteur).starts_with("NO (TRYLATER) "));
    let bodies = open.must("FETCH 1:* (FLAGS BODY.PEEK[])");
    assert_eq!(bodies.with("FETCH").count(), ledger.accepted.len());
}

/// Everything works, for sessions that come now.
fn works(facteur: &Facteur, ledger: &mut Ledger) {
    ledger.must_send(facteur, 20_000);
    let mut imap = bob(facteur);
    imap.must("SELECT INBOX");
    imap.must("STORE 1 +FLAGS (\\Seen)");
    assert!(put_script(facteur).starts_with("OK"));
    ledger.holds(facteur);
    facteur.must(&["account", "check", "--all"], "");
    calm(facteur);
}

#[test]
fn disk_that_fails_or_goes_read_only_under_the_server_refuses_for_now() {
    for errno in [Errno::IO, Errno::ROFS] {
        let Some(Failing { facteur, disk, .. }) = &Failing::start() else {
            return;
        };
        let mut ledger = Ledger::default();
        for _ in 0..5 {
            ledger.must_send(facteur, 20_000);
        }
        let mut open = bob(facteur);
        open.must("SELECT INBOX");
        disk.refuse_changes(Some(errno));
        refuses(facteur, &mut ledger, &mut open);
        disk.refuse_changes(None);
        works(facteur, &mut ledger);
    }
}

#[test]
fn remount_read_only_and_back_needs_no_restart() {
    let Some(small) = Small::new("32m") else {
        return;
    };
    let location = format!("sdbox:{}/%d/%n", small.path().display());
    let facteur = setup(&format!("[storage]\nmail_location = \"{location}\"\n")).start();
    let mut ledger = Ledger::default();
    for _ in 0..5 {
        ledger.must_send(&facteur, 20_000);
    }
    // Nobody has anything open: or the kernel would not do it.
    facteur.must(&["account", "sync", "--all"], "");
    assert!(small.remount("ro"));
    // It is put off, or kept in the spool until it can be delivered.
    let (code, line) = ledger.send(&facteur, 20_000);
    assert!(code == 250 || line.starts_with("4.3.0 "), "{line}");
    // Whoever comes now reads, or is told to come later.
    let mut imap = Imap::connect(facteur.address("imap"));
    let login = imap.command("LOGIN bob@example.test bob-password");
    assert!(
        ["OK ", "NO [SERVERBUG] ", "NO [UNAVAILABLE] "]
            .iter()
            .any(|reply| login.tagged.starts_with(reply)),
        "{login:?}"
    );
    assert!(small.remount("rw"));
    facteur.must(&["queue", "flush"], "");
    wait_for("the queue is empty", || {
        facteur
            .must(&["queue", "list", "--json"], "")
            .is_empty()
            .then_some(())
    });
    works(&facteur, &mut ledger);
}
