//! From a change of usage to the warning.

use facteur_model::{AccountId, MailboxName, QuotaLimits};
use facteur_store::Options;

use super::*;

struct House {
    store: Store,
    folder: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Options {
            state: folder.path().join("state"),
            auto_folders: Vec::new(),
            staging_memory: 4096,
            ..facteur_store::Options::default()
        });
        Self {
            store: store.unwrap(),
            folder,
        }
    }

    fn bob(&self) -> AccountSpec {
        AccountSpec {
            id: AccountId::new("bob@example.org"),
            home: self.folder.path().join("bob"),
            format: facteur_model::MailFormat::Sdbox,
            quota: QuotaLimits {
                bytes: Some(1000),
                ..QuotaLimits::default()
            },
        }
    }

    fn warner(&self, warnings: &[&str]) -> QuotaWarner {
        QuotaWarner::new(options(warnings))
    }

    fn change(&self, warner: &QuotaWarner, before: u64, now: u64) {
        let usage = |bytes| Usage { bytes, messages: 0 };
        warner.note(&UsageChange {
            account: &self.bob(),
            before: usage(before),
            now: usage(now),
        });
    }

    fn mail(&self) -> Vec<String> {
        let account = self.store.account(&self.bob()).unwrap();
        let inbox = account.open(&MailboxName::inbox()).unwrap();
        let snapshot = inbox.snapshot();
        let read = |uid| {
            let reader = inbox.read(uid).unwrap();
            let mut text = vec![0; usize::try_from(reader.size()).unwrap()];
            reader.read_exact_at(&mut text, 0).unwrap();
            String::from_utf8(text).unwrap()
        };
        snapshot.iter().map(|message| read(message.uid)).collect()
    }
}

fn options(warnings: &[&str]) -> QuotaWarningOptions {
    let parse = |text: &&str| QuotaWarning::parse(text, |_| None).unwrap();
    QuotaWarningOptions {
        warnings: warnings.iter().map(parse).collect(),
        from: Address::parse("postmaster@example.org").unwrap(),
        hostname: "mail.example.org".to_owned(),
        subject: "Boîte pleine à $percent%".to_owned(),
        text: "$user: $used / $limit\nété".to_owned(),
    }
}

#[tokio::test]
async fn first_mark_that_a_change_crosses_is_the_one_that_warns() {
    let house = House::new();
    let warner = house.warner(&["storage=95%", "storage=80%", "-storage=80%"]);
    for (before, now) in [(0, 10), (10, 960), (960, 970), (970, 100), (100, 810)] {
        house.change(&warner, before, now);
    }
    warner.finish(&house.store).await;
    let subject = |text: &String| {
        let parsed = mail_parser::MessageParser::new().parse(text)?;
        parsed.subject().map(str::to_owned)
    };
    let subjects: Vec<_> = house.mail().iter().filter_map(subject).collect();
    assert_eq!(
        subjects,
        ["95", "80", "80"].map(|n| format!("Boîte pleine à {n}%"))
    );
}

#[tokio::test]
async fn message_is_from_postmaster_and_passes_a_full_mailbox() {
    let house = House::new();
    let warner = house.warner(&["storage=100%"]);
    house.change(&warner, 999, 1000);
    warner.finish(&house.store).await;
    house.change(&warner, 999, 1000);
    warner.finish(&house.store).await;
    let mail = house.mail();
    // Both together are larger than the quota of 1,000.
    assert_eq!(mail.len(), 2);
    let text = mail.first().unwrap();
    for line in [
        "Return-Path: <>\r\n",
        "From: <postmaster@example.org>\r\n",
        "To: <bob@example.org>\r\n",
        "Auto-Submitted: auto-generated\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let parsed = mail_parser::MessageParser::new().parse(text).unwrap();
    assert_eq!(parsed.subject(), Some("Boîte pleine à 100%"));
    let body = parsed.body_text(0).unwrap();
    assert_eq!(
        body.lines().next(),
        Some("bob@example.org: 1000 bytes / 1000 bytes")
    );
}

#[tokio::test]
async fn command_is_run_instead_of_a_message() {
    let house = House::new();
    let script = house.folder.path().join("warn.sh");
    let said = house.folder.path().join("said");
    std::fs::write(
        &script,
        format!("#!/bin/sh\necho \"$@\" \"$USER\" >> {}\n", said.display()),
    )
    .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let line = format!("-storage=50% {} 50 %n", script.display());
    let warner = house.warner(&[&line]);
    house.change(&warner, 0, 1000);
    house.change(&warner, 1000, 499);
    house.change(&warner, 499, 0);
    warner.finish(&house.store).await;
    assert_eq!(
        std::fs::read_to_string(said).unwrap(),
        "50 bob bob@example.org\n"
    );
    assert!(house.mail().is_empty());
}

#[tokio::test]
async fn other_rules_hold_from_the_next_change_on() {
    let house = House::new();
    let warner = house.warner(&["storage=50%"]);
    warner.reconfigure(options(&["storage=90%"]));
    house.change(&warner, 0, 600);
    house.change(&warner, 600, 900);
    warner.finish(&house.store).await;
    assert_eq!(house.mail().len(), 1);
}

#[test]
fn names_of_programs_are_looked_up_and_others_refused() {
    let known = |name: &str| (name == "quota-warning").then(|| "/usr/bin/warn".to_owned());
    let read = QuotaWarning::parse("storage=85%% quota-warning 85 %u", known).unwrap();
    assert_eq!(read.command.unwrap().program(), "/usr/bin/warn");
    let direct = QuotaWarning::parse("storage=85% /bin/x", known).unwrap();
    assert_eq!(direct.command.unwrap().program(), "/bin/x");
    for text in ["storage=85% other", "storage=85% ../x", "85%", ""] {
        assert!(QuotaWarning::parse(text, known).is_err(), "{text}");
    }
    let relative = |_: &str| Some("bin/x".to_owned());
    assert!(QuotaWarning::parse("storage=85% x", relative).is_err());
}
