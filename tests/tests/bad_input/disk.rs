//! A full disk.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use facteur_tests::{Facteur, Imap, is_ci, require_root};

use crate::{ALICE, BOB, bob, start, unharmed};

/// A small file system over a folder; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// Mounts it and moves the folder's files onto it; `None` where that is not allowed.
    fn over(folder: &Path) -> Option<Self> {
        let aside = folder.with_extension("aside");
        fs::rename(folder, &aside).unwrap();
        fs::create_dir(folder).unwrap();
        let owner = fs::metadata(&aside).unwrap();
        let options = format!("size=12m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "facteur-test"],
            folder,
        );
        let small = mounted.then(|| Self(folder.to_owned()));
        let from = aside.join(".");
        assert!(run("cp", &["-a", &from.to_string_lossy()], folder));
        chown(folder, Some(owner.uid()), Some(owner.gid())).unwrap();
        small
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        run("umount", &["-l"], &self.0);
    }
}

fn run(program: &str, arguments: &[&str], last: &Path) -> bool {
    let status = Command::new(program).args(arguments).arg(last).status();
    status.is_ok_and(|status| status.success())
}

fn large(n: usize) -> String {
    let line = "A line that fills the disk, and that is all it is for: nothing else.\r\n";
    format!(
        "Subject: large {n}\r\n\r\n{}",
        line.repeat(700_000 / line.len())
    )
}

/// Sends until there is no room; how many were accepted.
fn fill(facteur: &Facteur) -> usize {
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    for n in 0..100 {
        let reply = smtp.send("", &[BOB], &large(n));
        if reply.code != 250 {
            // RFC 5321 §4.2.3, RFC 3463 §3.4: insufficient system storage; and the session goes on.
            assert_eq!(reply.code, 452, "{reply:?}");
            assert!(reply.lines[0].starts_with("4.3.1 "), "{reply:?}");
            smtp.expect("NOOP", 250);
            return n;
        }
    }
    panic!("the disk does not fill");
}

/// Everything that was accepted is there and whole.
fn whole(facteur: &Facteur, from: usize, accepted: usize) {
    let mut imap: Imap = bob(facteur);
    imap.must("SELECT INBOX");
    let found = imap.must("UID FETCH 1:* (BODY.PEEK[])");
    let found: Vec<&str> = found.with("Subject: large").collect();
    assert_eq!(found.len(), accepted);
    for (n, text) in found.into_iter().enumerate() {
        assert!(text.contains(&large(from + n)), "message {n} is torn");
    }
}

#[test]
fn full_disk_refuses_for_now_and_harms_nothing() {
    if !require_root("mounting a small file system") {
        return;
    }
    let mut facteur = start();
    facteur.stop();
    let Some(_small) = Small::over(&facteur.data()) else {
        assert!(!is_ci(), "no file system can be mounted here");
        eprintln!("skipped: no file system can be mounted here");
        return;
    };
    facteur.restart();
    let accepted = fill(&facteur);
    assert!(accepted > 3, "{accepted}");
    whole(&facteur, 0, accepted);

    // Everything else that writes is refused, and what reads works.
    let mut imap = facteur.imap(ALICE, "alice-password");
    imap.must("SELECT INBOX");
    assert!(imap.fetch_text(1).contains("canary"));
    let append = imap.append("INBOX", &large(0));
    assert!(append.tagged.starts_with("NO"), "{append:?}");
    imap.must("NOOP");

    // Nothing of it is lost by a kill now.
    facteur.kill();
    facteur.restart();
    whole(&facteur, 0, accepted);

    // With room again everything works again.
    let mut imap = bob(&facteur);
    imap.must("SELECT INBOX");
    imap.must("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.must("EXPUNGE");
    unharmed(&facteur);
    let again = fill(&facteur);
    assert!(again > 3, "{again}");
    whole(&facteur, 0, again);
    println!("{accepted} messages until the disk was full, {again} when it was empty again");
}
