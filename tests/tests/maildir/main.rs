//! The whole server on Maildirs: the main job, other programs in the folders, a stop and a kill, and
//! what the command line does to them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and ends"
)]

mod programs;
mod verbs;

use std::{
    fs,
    path::{Path, PathBuf},
};

use facteur_tests::{Facteur, Imap, Setup};

const ALICE: &str = "alice@example.test";
const BOB: &str = "bob@example.test";

fn message(subject: &str) -> String {
    format!("From: {ALICE}\r\nTo: {BOB}\r\nSubject: {subject}\r\n\r\nbody of {subject}\r\n")
}

fn start() -> Facteur {
    Setup::new().with_alice_and_bob().format("maildir").start()
}

/// Delivers to bob.
fn deliver(facteur: &Facteur, subject: &str) {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    assert_eq!(smtp.send(ALICE, &[BOB], &message(subject)).code, 250);
}

fn maildir(facteur: &Facteur) -> PathBuf {
    facteur.data().join("mail/example.test/bob")
}

/// The messages' files in a folder, by name.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = ["new", "cur"]
        .iter()
        .flat_map(|place| fs::read_dir(folder.join(place)).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_by_key(|path| path.file_name().unwrap().to_owned());
    files
}

/// What stands behind the colon of their names.
fn flags(folder: &Path) -> Vec<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let info = |name: String| {
        name.split_once(':')
            .map_or(String::new(), |(_, i)| i.to_owned())
    };
    files(folder).into_iter().map(name).map(info).collect()
}

/// Gives what another program writes to the server's user.
fn give(path: &Path, like: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata(like).unwrap();
    std::os::unix::fs::chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// Drops a message as another program does.
fn drop_in(folder: &Path, subject: &str) {
    let base = format!("2000000000.M1P1.{subject}");
    let tmp = folder.join("tmp").join(&base);
    fs::write(&tmp, message(subject)).unwrap();
    give(&tmp, folder);
    fs::rename(tmp, folder.join("new").join(base)).unwrap();
}

/// A client that has INBOX selected and idles.
struct Idle {
    imap: Imap,
    tag: String,
}

impl Idle {
    fn new(mut imap: Imap) -> Self {
        imap.must("SELECT INBOX");
        let tag = imap.send("IDLE");
        assert!(imap.connection.line().starts_with('+'));
        Self { imap, tag }
    }

    /// Waits until it is told something that has all of these in it.
    fn hears(&mut self, parts: &[&str]) {
        loop {
            let line = self.imap.connection.line();
            if parts.iter().all(|part| line.contains(part)) {
                return;
            }
        }
    }

    fn done(mut self) -> Imap {
        self.imap.connection.send_line("DONE");
        assert!(self.imap.finish(&self.tag).is_ok());
        self.imap
    }
}

#[test]
fn mail_is_delivered_read_flagged_moved_and_expunged_in_a_maildir() {
    let mut facteur = start();
    for subject in ["one", "two", "three"] {
        deliver(&facteur, subject);
    }
    let mut imap = facteur.imap(BOB, "bob-password");
    let select = imap.must("SELECT INBOX");
    assert!(
        select.untagged.contains(&"3 EXISTS".to_owned()),
        "{select:?}"
    );
    assert!(imap.fetch_text(2).ends_with("body of two\r\n"));
    imap.must("STORE 1 +FLAGS (\\Seen \\Flagged work)");
    imap.must("CREATE &AMk-t&AOk-/x");
    imap.must("MOVE 2 &AMk-t&AOk-/x");
    imap.must("COPY 1 &AMk-t&AOk-/x");
    imap.must("STORE 2 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
    imap.must("LOGOUT");
    let mut pop3 = facteur.pop3(BOB, "bob-password");
    assert_eq!(pop3.lines("LIST").len(), 1);
    assert!(facteur.stop().success());
    let home = maildir(&facteur);
    assert_eq!(flags(&home), ["2,FSa"]);
    let other = home.join(".&AMk-t&AOk-.x");
    let mut there = flags(&other);
    there.sort();
    // Nobody has looked at the one that was moved.
    assert_eq!(there, ["", "2,FSa"]);
    let keywords = fs::read_to_string(home.join("dovecot-keywords")).unwrap();
    assert_eq!(keywords, "0 work\n");
    let list = fs::read_to_string(other.join("dovecot-uidlist")).unwrap();
    assert_eq!(list.lines().count(), 3, "{list}");
    facteur.restart();
    let mut imap = facteur.imap(BOB, "bob-password");
    imap.must("SELECT &AMk-t&AOk-/x");
    let fetched = imap.must("FETCH 1:* (UID FLAGS)");
    assert_eq!(fetched.untagged.len(), 2, "{fetched:?}");
    assert!(imap.fetch_text(1).ends_with("body of two\r\n"));
}

#[test]
fn an_idle_client_hears_what_other_programs_do() {
    let facteur = start();
    deliver(&facteur, "one");
    deliver(&facteur, "two");
    let home = maildir(&facteur);
    let mut idle = Idle::new(facteur.imap(BOB, "bob-password"));
    drop_in(&home, "dropped");
    idle.hears(&["* 3 EXISTS"]);
    let first = files(&home).remove(0);
    let base = first.file_name().unwrap().to_str().unwrap();
    let base = base.split(':').next().unwrap();
    fs::rename(&first, home.join("cur").join(format!("{base}:2,RS"))).unwrap();
    idle.hears(&["* 1 FETCH", "\\Answered", "\\Seen"]);
    fs::remove_file(&files(&home)[1]).unwrap();
    idle.hears(&["* 2 EXPUNGE"]);
    let mut imap = idle.done();
    assert!(imap.fetch_text(3).ends_with("body of dropped\r\n"));
    // Without waiting, NOOP tells it.
    drop_in(&home, "again");
    let noop = imap.must("NOOP");
    assert!(noop.untagged.contains(&"3 EXISTS".to_owned()), "{noop:?}");
}

#[test]
fn a_killed_server_has_every_flag_and_gives_no_uid_again() {
    let mut facteur = start();
    deliver(&facteur, "one");
    deliver(&facteur, "two");
    let mut imap = facteur.imap(BOB, "bob-password");
    imap.must("SELECT INBOX");
    imap.must("STORE 1 +FLAGS (\\Seen work)");
    imap.must("STORE 2 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
    facteur.kill();
    facteur.restart();
    assert_eq!(flags(&maildir(&facteur)), ["2,Sa"]);
    deliver(&facteur, "three");
    let mut imap = facteur.imap(BOB, "bob-password");
    imap.must("SELECT INBOX");
    let fetched = imap.must("FETCH 1:* (UID FLAGS)");
    let line = |n: usize| fetched.untagged[n].clone();
    assert!(
        line(0).contains("UID 1") && line(0).contains("work"),
        "{fetched:?}"
    );
    assert!(line(1).contains("UID 3"), "{fetched:?}");
}
