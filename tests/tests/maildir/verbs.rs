//! The command line, and what clients are told, on Maildirs.

use std::fs;

use facteur_tests::{Facteur, Imap, Setup, activate_script};

use crate::{BOB, deliver, drop_in, files, flags, give, maildir, start};

/// UIDs, flags and keywords of INBOX.
fn listed(imap: &mut Imap) -> Vec<String> {
    let examined = imap.must("EXAMINE INBOX");
    let validity = examined.with("UIDVALIDITY").next().unwrap().to_owned();
    let fetched = imap.must("UID FETCH 1:* (FLAGS)");
    let lines = fetched
        .with("FETCH")
        .map(|line| line.replace(" \\Recent", "").replace("\\Recent", ""));
    let mut lines: Vec<String> = lines.collect();
    lines.push(validity);
    lines
}

fn bob(facteur: &Facteur) -> Imap {
    facteur.imap(BOB, "bob-password")
}

/// Bob's INBOX with flags, keywords and gaps.
fn fill(facteur: &Facteur) {
    for subject in ["one", "two", "three", "four"] {
        deliver(facteur, subject);
    }
    let mut imap = bob(facteur);
    imap.must("SELECT INBOX");
    imap.must("STORE 1 +FLAGS (\\Seen \\Flagged work)");
    imap.must("STORE 2 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
    imap.must("STORE 2 +FLAGS (\\Answered $Label1)");
}

#[test]
fn a_lost_index_is_rebuilt_with_every_flag_while_the_server_runs() {
    let mut facteur = start();
    fill(&facteur);
    let before = listed(&mut bob(&facteur));
    let sound = |facteur: &Facteur| {
        let said = facteur.must(&["account", "check", BOB], "");
        assert!(said.contains("sound: 3 messages"), "{said}");
    };
    sound(&facteur);
    for verb in ["sync", "optimize", "rebuild"] {
        facteur.must(&["account", verb, BOB], "");
        sound(&facteur);
        assert_eq!(listed(&mut bob(&facteur)), before, "{verb}");
    }
    assert!(facteur.stop().success());
    sound(&facteur);
    let home = maildir(&facteur);
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        let _ = fs::remove_file(home.join(file));
    }
    facteur.restart();
    assert_eq!(listed(&mut bob(&facteur)), before);
    deliver(&facteur, "five");
    let after = listed(&mut bob(&facteur));
    assert!(
        !after.iter().any(|line| line.contains("UID 2 ")),
        "{after:?}"
    );
    assert_eq!(after.len(), 5);
}

#[test]
fn check_names_a_file_that_is_gone_and_changes_nothing() {
    let mut facteur = start();
    fill(&facteur);
    assert!(facteur.stop().success());
    let gone = files(&maildir(&facteur)).remove(0);
    let aside = facteur.folder().join("aside");
    fs::rename(&gone, &aside).unwrap();
    let check = facteur.cli(&["account", "check", BOB], "");
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains("INBOX UID 1: file missing"), "{said}");
    fs::rename(&aside, &gone).unwrap();
    facteur.must(&["account", "check", BOB], "");
}

#[test]
fn names_that_a_maildir_cannot_have_are_refused_with_the_reason() {
    let facteur = start();
    let mut imap = bob(&facteur);
    for (name, reason) in [("a.b", "dot"), ("~home", "~")] {
        let refused = imap.command(&format!("CREATE {name}"));
        assert!(
            refused.tagged.starts_with("NO [CANNOT]") && refused.tagged.contains(reason),
            "{refused:?}"
        );
    }
    imap.must("CREATE \"Ann&AOk-e/&- co/x y\"");
    let folder = maildir(&facteur).join(".Ann&AOk-e.&- co.x y");
    assert!(folder.join("maildirfolder").is_file());
    for sub in ["cur", "new", "tmp"] {
        assert!(folder.join(sub).is_dir(), "{sub}");
    }
    // Another program makes one.
    let made = maildir(&facteur).join(".Lists.else");
    for sub in ["", "cur", "new", "tmp"] {
        fs::create_dir(made.join(sub)).unwrap();
        give(&made.join(sub), &folder);
    }
    drop_in(&made, "elsewhere");
    let listed = imap.must("LIST \"\" *");
    assert!(listed.with("Lists/else").next().is_some(), "{listed:?}");
    imap.must("SELECT Lists/else");
    assert!(imap.fetch_text(1).ends_with("body of elsewhere\r\n"));
}

#[test]
fn a_home_with_the_other_format_is_left_alone_and_the_log_says_what_to_do() {
    let facteur = start();
    let home = maildir(&facteur);
    let mails = home.join("mailboxes/INBOX/dbox-Mails");
    fs::create_dir_all(&mails).unwrap();
    let made = mails.ancestors().take_while(|path| *path != facteur.data());
    made.for_each(|path| give(path, &facteur.data()));
    let mut imap = Imap::connect(facteur.address("imap"));
    let refused = imap.command(&format!("LOGIN {BOB} bob-password")).tagged;
    // Its owner cannot mend it, and learns nothing of the server's folders.
    assert!(
        refused.starts_with("NO [") && !refused.contains("mailboxes"),
        "{refused}"
    );
    let says_what_to_do = |said: &str| {
        ["holds sdbox mail", "mail_location", "account export"]
            .iter()
            .all(|part| said.contains(part))
    };
    let of_home = home.to_string_lossy().into_owned();
    facteur.wait_log_where("what to do", |entry| {
        let cause = entry["cause"].as_str().unwrap_or_default();
        cause.contains(&of_home) && says_what_to_do(cause)
    });
    assert!(!home.join("cur").exists());
    let check = facteur.cli(&["account", "check", BOB], "");
    let said = [check.stdout, check.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(says_what_to_do(&said), "{said}");
    // Its mail waits until that is mended.
    let mut smtp = facteur.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let sent = smtp.send("a@b.example", &[BOB], "Subject: x\r\n\r\nx\r\n");
    assert!(matches!(sent.code, 250 | 400..500), "{sent:?}");
}

#[test]
fn scripts_lie_in_the_home_and_are_no_mailboxes() {
    let facteur = start();
    let script = "require \"fileinto\"; fileinto \"Junk\";";
    activate_script(facteur.address("managesieve"), BOB, "bob-password", script);
    deliver(&facteur, "filed");
    let home = maildir(&facteur);
    assert!(home.join("sieve/main.sieve").is_file());
    assert_eq!(files(&home.join(".Junk")).len(), 1);
    let mut imap = bob(&facteur);
    let listed = imap.must("LIST \"\" *");
    assert!(listed.with("ieve").next().is_none(), "{listed:?}");
    assert!(flags(&home).is_empty());
}

#[test]
fn mail_that_is_filed_under_a_name_that_a_maildir_cannot_have_is_kept_in_the_inbox() {
    let sections =
        "[sieve]\nlda_mailbox_autocreate = true\n[lmtp]\nlmtp_save_to_detail_mailbox = true\n";
    let setup = Setup::new().with_alice_and_bob().sections(sections);
    let facteur = setup.format("maildir").start();
    let mut lmtp = facteur.smtp("lmtp");
    lmtp.expect("LHLO client.example", 250);
    let mut send = |to: &str| {
        let sent = lmtp.send("a@b.example", &[to], "Subject: x\r\n\r\nx\r\n");
        assert_eq!(sent.code, 250, "{to}: {sent:?} {}", facteur.log());
    };
    send("bob+a.b@example.test");
    send("bob+ab@example.test");
    let script = "require [\"fileinto\", \"mailbox\"]; fileinto :create \"Lists.rust\";";
    activate_script(facteur.address("managesieve"), BOB, "bob-password", script);
    send(BOB);
    let home = maildir(&facteur);
    assert_eq!(files(&home).len(), 2);
    assert_eq!(files(&home.join(".ab")).len(), 1);
}

/// What clients see of Bob's mailboxes.
fn seen(facteur: &Facteur) -> Vec<String> {
    let mut imap = bob(facteur);
    let mut seen = imap.must("LSUB \"\" *").untagged;
    for mailbox in ["INBOX", "Lists/&AOk-"] {
        let examined = imap.must(&format!("EXAMINE {mailbox}"));
        let numbers = ["UIDVALIDITY", "UIDNEXT"];
        let numbers = numbers.map(|number| examined.with(number).next().unwrap().to_owned());
        seen.extend(numbers);
        let fetched = imap.must("FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])");
        seen.extend(fetched.untagged.iter().map(|line| {
            let (flags, rest) = line.split_once(")").unwrap();
            let mut flags: Vec<&str> = flags.split([' ', '(']).collect();
            flags.retain(|flag| !flag.is_empty() && *flag != "\\Recent");
            flags.sort_unstable();
            flags.join(" ") + rest
        }));
    }
    seen
}

/// Has the account in another format from now on.
fn convert(facteur: &mut Facteur, to: &str) {
    assert!(facteur.stop().success());
    let home = maildir(facteur);
    let copy = home.with_file_name("bob.new");
    let said = facteur.must(
        &[
            "account",
            "export",
            "--to-dovecot",
            "--format",
            to,
            BOB,
            &copy.to_string_lossy(),
        ],
        "",
    );
    assert!(said.contains("4 messages"), "{said}");
    fs::remove_dir_all(&home).unwrap();
    fs::rename(copy, home).unwrap();
    let config = fs::read_to_string(facteur.config()).unwrap();
    let from = if to == "sdbox" { "maildir" } else { "sdbox" };
    let config = config.replace(
        &format!("mail_location = \"{from}:"),
        &format!("mail_location = \"{to}:"),
    );
    fs::write(facteur.config(), config).unwrap();
    facteur.restart();
}

#[test]
fn an_account_goes_from_one_format_to_the_other_and_back() {
    let mut facteur = start();
    fill(&facteur);
    let mut imap = bob(&facteur);
    imap.must("CREATE Lists/&AOk-");
    imap.must("SUBSCRIBE Lists/&AOk-");
    imap.must("SELECT INBOX");
    imap.must("COPY 1 Lists/&AOk-");
    drop(imap);
    let before = seen(&facteur);
    assert!(
        before.iter().any(|line| line.contains("$Label1")),
        "{before:?}"
    );
    for format in ["sdbox", "maildir"] {
        convert(&mut facteur, format);
        assert_eq!(seen(&facteur), before, "as {format}");
    }
}
