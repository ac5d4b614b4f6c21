//! What `facteur account check` calls each thing that can be wrong, and what mends it.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::{FileExt as _, symlink},
    path::PathBuf,
};

use facteur_model::MailFormat;
use facteur_store::{FindingKind, Remedy};

use crate::{
    maintenance::{at_rest, check, rebuild},
    world::World,
};

type Damage = fn(&World);

/// Each thing that can be wrong, and what the check calls it.
const DAMAGES: [(Damage, FindingKind, Remedy); 9] = [
    (
        |world| fs::remove_file(index(world)).unwrap(),
        FindingKind::IndexMissing,
        Remedy::NextUse,
    ),
    (
        |world| fs::write(index(world), "no index").unwrap(),
        FindingKind::IndexDamaged,
        Remedy::Rebuild,
    ),
    (
        |world| fs::remove_file(mail(world, 1)).unwrap(),
        FindingKind::FileMissing,
        Remedy::Restore,
    ),
    (unknown, FindingKind::FileUnknown, Remedy::Rebuild),
    (damaged, FindingKind::FileDamaged, Remedy::Restore),
    (larger, FindingKind::SizeDiffers, Remedy::Rebuild),
    (nameless, FindingKind::UidValidityMissing, Remedy::Restore),
    (
        |world| fs::remove_dir_all(world.folder("bob", "Spam")).unwrap(),
        FindingKind::MailboxMissing,
        Remedy::Rebuild,
    ),
    (
        |world| symlink("sieve/gone.sieve", world.home("bob").join("dovecot.sieve")).unwrap(),
        FindingKind::ScriptLinkBroken,
        Remedy::Activate,
    ),
];

fn index(world: &World) -> PathBuf {
    world.home("bob").join("index.db")
}

fn mail(world: &World, uid: u32) -> PathBuf {
    world.file("bob", "INBOX", uid)
}

/// Another program puts a message under a UID of its own.
fn unknown(world: &World) {
    match crate::FORMAT {
        MailFormat::Sdbox => {
            let mails = world.mails("bob", "INBOX");
            fs::rename(mail(world, 1), mails.join("u.900")).unwrap();
        }
        MailFormat::Maildir => {
            let mails = world.mails("bob", "INBOX");
            fs::copy(mail(world, 1), mails.join("cur/2000000000.M1.elsewhere:2,")).unwrap();
            let list = File::options()
                .append(true)
                .open(mails.join("dovecot-uidlist"));
            writeln!(list.unwrap(), "900 :2000000000.M1.elsewhere").unwrap();
        }
    }
}

/// Removes whatever says INBOX's UIDVALIDITY.
fn nameless(world: &World) {
    let inbox = world.folder("bob", "INBOX");
    fs::remove_file(inbox.join("uidvalidity")).unwrap();
    if crate::FORMAT == MailFormat::Maildir {
        fs::remove_file(inbox.join("dovecot-uidlist")).unwrap();
    }
}

/// Makes the first message's file one that cannot be read.
fn damaged(world: &World) {
    let bytes: &[u8] = match crate::FORMAT {
        MailFormat::Sdbox => b"2 M1e C0\n\x01",
        // Every text is a message there: only one that was compressed can be damaged.
        MailFormat::Maildir => b"\x28\xb5\x2f\xfd is how zstd begins",
    };
    fs::write(mail(world, 1), bytes).unwrap();
}

/// Makes the second message larger than the index knows.
fn larger(world: &World) {
    let path = mail(world, 2);
    if crate::FORMAT == MailFormat::Maildir {
        let file = File::options().append(true).open(&path);
        file.unwrap().write_all(b"another line\r\n").unwrap();
        return;
    }
    // Its file says the size.
    let bytes = fs::read(&path).unwrap();
    let at = bytes.windows(2).rposition(|two| two == b"\nV").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    // Two hexadecimal digits, as before.
    file.write_all_at(b"\nVFF", at as u64).unwrap();
}

#[test]
fn check_says_what_is_wrong_and_what_mends_it() {
    for (damage, kind, remedy) in DAMAGES {
        let world = at_rest();
        damage(&world);
        let store = world.open();
        let found = check(&world, &store).findings;
        assert!(found.has(kind), "{kind:?}: {found:?}");
        assert!(found.remedies().contains(&remedy), "{kind:?}: {found:?}");
        // What the operator is told to do does mend it.
        if matches!(remedy, Remedy::Rebuild | Remedy::NextUse) {
            rebuild(&world, &store);
            let after = check(&world, &store).findings;
            assert!(after.is_empty(), "{kind:?}: {after:?}");
        }
    }
}
