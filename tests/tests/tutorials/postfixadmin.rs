//! Postfix, Dovecot, PostfixAdmin and MariaDB, with the maps' and dovecot-sql.conf's queries as they
//! stand in those files.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
};

use facteur_tests::{
    Connection, Facteur, Imap, Setup, Smtp, base64,
    database::{Database as _, MariaDb, PostfixAdmin, require},
    wait_for,
};

use crate::{example, greeted, message};

const BOB: &str = "bob@domaine.tld";
const ALICE: &str = "alice@domaine.tld";
const PASSWORD: &str = "bob-secret";
const MD5CRYPT: &str = "$1$abcdefgh$lgkKdTg0RDRjVDfkxfIQu1";
const ALICES_QUOTA: u64 = 6000;

/// The tutorial's global.sieve.
const GLOBAL: &str = r#"require ["fileinto", "envelope", "subaddress"];
if header :contains "subject" "SPAM"
{
        fileinto "Spam";
}
"#;

/// The tutorial's `managesieve_sieve_capability`.
const EXTENSIONS: &str = "comparator-i;octet comparator-i;ascii-casemap fileinto reject envelope \
    encoded-character vacation subaddress comparator-i;ascii-numeric relational regex imap4flags copy \
    include variables body enotify environment mailbox date spamtest spamtestplus virustest";

/// What was entered on PostfixAdmin's pages, as it stores it.
fn enter(database: &MariaDb) {
    for sql in [
        "INSERT INTO domain (domain, description, transport) VALUES \
         ('domaine.tld', '', 'virtual'), ('autre.tld', '', 'virtual'), \
         ('alias.tld', '', 'virtual'), ('alias-autre.tld', '', 'virtual')"
            .to_owned(),
        "INSERT INTO domain (domain, description, transport, backupmx) VALUES ('relais.tld', '', 'virtual', 1)"
            .to_owned(),
        "INSERT INTO alias_domain (alias_domain, target_domain) VALUES \
         ('alias.tld', 'domaine.tld'), ('alias-autre.tld', 'autre.tld')"
            .to_owned(),
        format!(
            "INSERT INTO mailbox (username, password, name, maildir, quota, local_part, domain) VALUES \
             ('{BOB}', '{MD5CRYPT}', 'Bob', 'domaine.tld/bob/', 0, 'bob', 'domaine.tld'), \
             ('{ALICE}', '{MD5CRYPT}', 'Alice', 'domaine.tld/alice/', {ALICES_QUOTA}, 'alice', 'domaine.tld')"
        ),
        format!(
            "INSERT INTO alias (address, goto, domain) VALUES \
             ('{BOB}', '{BOB}', 'domaine.tld'), ('{ALICE}', '{ALICE}', 'domaine.tld'), \
             ('admin@domaine.tld', '{BOB}', 'domaine.tld'), ('@autre.tld', '{BOB}', 'autre.tld')"
        ),
    ] {
        database.execute(&sql);
    }
}

/// The tutorial's server, and the one that it is a backup for.
struct Moved {
    server: Facteur,
    primary: Facteur,
    database: MariaDb,
    /// /home/virtual
    home: tempfile::TempDir,
}

fn moved() -> Option<Moved> {
    let database = require(MariaDb::start())?;
    let postfixadmin = require(PostfixAdmin::unpack())?;
    postfixadmin.upgrade(&database.postfixadmin_settings());
    enter(&database);
    let home = tempfile::tempdir().unwrap();
    // The server's user is not ours.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(home.path().join("sieve")).unwrap();
    let script = home.path().join("sieve/global.sieve");
    fs::write(&script, GLOBAL).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(home.path(), Some(65534), Some(65534)).unwrap();
    }
    let primary = Setup::new()
        .domain("relais.tld")
        .account("carl@relais.tld", PASSWORD)
        .start();
    let text = example(
        "postfixadmin-mariadb.toml",
        &[
            ("/home/virtual", &home.path().to_string_lossy()),
            (
                "mysql://postfix:motdepasse@sql.domaine.tld/postfix",
                &database.url("postfix"),
            ),
            // There is no DNS: where the MX record of relais.tld would lead.
            (
                "[queue]",
                &format!(
                    "[queue]\ntransport_maps = {{ \"relais.tld\" = \"smtp:[127.0.0.1]:{}\" }}",
                    primary.address("smtp").port()
                ),
            ),
            // Whoever connects here is a stranger.
            ("127.0.0.0/8", "127.0.0.9/32"),
            ("ssl_cert =", "#ssl_cert ="),
            ("ssl_key =", "#ssl_key ="),
            ("*:25\"", "127.0.0.1:0\""),
            ("*:587", "127.0.0.1:0"),
            ("127.0.0.1:24", "127.0.0.1:0"),
            ("*:143", "127.0.0.1:0"),
            ("*:993", "127.0.0.1:0"),
            ("*:4190", "127.0.0.1:0"),
        ],
    );
    let server = Setup::whole(&text).start();
    Some(Moved {
        server,
        primary,
        database,
        home,
    })
}

impl Moved {
    fn imap(&self, user: &str) -> Imap {
        self.server.imap_tls(user, PASSWORD)
    }

    /// How many messages of this subject a folder of a user has.
    fn count(&self, user: &str, folder: &str, subject: &str) -> usize {
        let mut imap = self.imap(user);
        imap.must(&format!("SELECT {folder}"));
        let found = imap.must(&format!("SEARCH SUBJECT \"{subject}\""));
        let line = found.with("SEARCH").next().unwrap_or_default();
        line.split(' ').skip(1).count()
    }

    fn submission(&self) -> Smtp {
        let smtp = greeted(self.server.smtp("submission"));
        smtp.starttls(&self.server.certificate())
    }
}

fn expect_mail_in(moved: &Moved) {
    let mut smtp = moved.server.smtp("smtp");
    let ehlo = smtp.expect("EHLO client.example", 250);
    assert!(
        ehlo.lines.iter().any(|line| line == "SIZE 50240000"),
        "{ehlo:?}"
    );
    for recipient in [
        BOB,
        "Bob+Detail@Domaine.TLD",
        "admin@domaine.tld",
        "bob@alias.tld",
        "admin@alias.tld",
        "bob+detail@alias.tld",
        "quiconque@autre.tld",
        "quiconque@alias-autre.tld",
    ] {
        let subject = format!("to {recipient}");
        let sent = smtp.send("x@ailleurs.test", &[recipient], &message(&subject));
        assert_eq!(sent.code, 250, "{recipient}: {sent:?}");
        assert_eq!(moved.count(BOB, "INBOX", &subject), 1, "{recipient}");
    }
    smtp.expect("MAIL FROM:<x@ailleurs.test>", 250);
    for (recipient, code) in [
        ("personne@domaine.tld", 550),
        ("personne@alias.tld", 550),
        ("x@elsewhere.test", 554),
    ] {
        smtp.expect(&format!("RCPT TO:<{recipient}>"), code);
    }
    smtp.expect("RSET", 250);
    // The backup MX passes it on.
    let sent = smtp.send("x@ailleurs.test", &["carl@relais.tld"], &message("relay"));
    assert_eq!(sent.code, 250, "{sent:?}");
    wait_for("message at the primary server", || {
        let mut imap = moved.primary.imap("carl@relais.tld", PASSWORD);
        let status = imap.must("STATUS INBOX (MESSAGES)");
        status.with("MESSAGES 1").next().map(drop)
    });
}

fn expect_clients(moved: &Moved) {
    let mut imap = Imap::connect(moved.server.address("imap"));
    assert!(imap.greeting.contains("LOGINDISABLED"), "{}", imap.greeting);
    let refused = imap.command(&format!("LOGIN {BOB} {PASSWORD}"));
    assert!(refused.tagged.starts_with("NO"), "{refused:?}");
    let mut imap = imap.starttls(&moved.server.certificate());
    imap.login(BOB, PASSWORD);
    let list = imap.must("LIST \"\" \"*\"");
    let subscribed = imap.must("LSUB \"\" \"*\"");
    for (folder, attribute) in [
        ("Trash", "\\Trash"),
        ("Drafts", "\\Drafts"),
        ("Sent", "\\Sent"),
        ("Spam", "\\Junk"),
        ("SpamFalse", ""),
        ("SpamToLearn", ""),
    ] {
        let end = format!(" \"/\" {folder}");
        let has = |line: &&str| line.ends_with(&end) && line.contains(attribute);
        assert!(
            list.with("LIST").any(|line| has(&line)),
            "{folder}: {list:?}"
        );
        let subscribed = subscribed.with("LSUB").any(|line| line.ends_with(&end));
        assert!(subscribed, "{folder}");
    }
    assert_eq!(list.with(" \"/\" ").count(), 7, "and INBOX: {list:?}");
    let namespace = imap.must("NAMESPACE");
    assert_eq!(
        namespace.untagged,
        ["NAMESPACE ((\"\" \"/\")) NIL NIL"],
        "the second is hidden"
    );
    // What programs that were set up with the prefix INBOX/ ask for.
    let draft = "Subject: by its other name\r\n\r\nx\r\n";
    assert!(imap.append("INBOX/Drafts", draft).is_ok());
    imap.must("SELECT INBOX/Drafts");
    imap.must("COPY 1 INBOX/Trash");
    imap.must("STORE 1 +FLAGS (\\Deleted)");
    imap.must("EXPUNGE");
    assert_eq!(moved.count(BOB, "Trash", "by its other name"), 1);
    assert_eq!(moved.count(BOB, "Drafts", "by its other name"), 0);
    let trash = moved
        .home
        .path()
        .join("domaine.tld/bob/mailboxes/Trash/dbox-Mails/u.1");
    assert!(trash.is_file(), "{}", trash.display());
}

/// `mail_log`: one line for each, with uid, box, msgid and size.
fn expect_mail_log(moved: &Moved) {
    for event in ["save", "copy", "delete", "expunge"] {
        let line = moved.server.wait_log_where(event, |entry| {
            entry["event"] == event && entry["user"] == BOB && !entry["mailbox"].is_null()
        });
        assert!(
            line["uid"].as_u64().is_some_and(|uid| uid > 0)
                && line["size"].as_u64().is_some_and(|size| size > 0)
                && line["message_id"].is_string(),
            "{line}"
        );
    }
}

fn expect_filters(moved: &Moved) {
    let mut smtp = greeted(moved.server.smtp("smtp"));
    let sent = smtp.send("x@ailleurs.test", &[BOB], &message("*** SPAM *** buy"));
    assert_eq!(sent.code, 250, "{sent:?}");
    assert_eq!(moved.count(BOB, "Spam", "buy"), 1);
    assert_eq!(moved.count(BOB, "INBOX", "buy"), 0);
}

fn expect_quota(moved: &Moved) {
    let mut smtp = greeted(moved.server.smtp("smtp"));
    smtp.expect("MAIL FROM:<x@ailleurs.test> SIZE=20000", 250);
    let full = smtp.expect(&format!("RCPT TO:<{ALICE}>"), 452);
    assert!(
        full.lines.iter().all(|line| line.starts_with("4.2.2 ")),
        "{full:?}"
    );
    smtp.expect("RSET", 250);
    // Filled to the brim, nothing more comes in, whatever it says of its size.
    let text = format!(
        "{}{}",
        message("fills it"),
        "0123456789abcdef\r\n".repeat(330)
    );
    assert_eq!(smtp.send("x@ailleurs.test", &[ALICE], &text).code, 250);
    smtp.expect("MAIL FROM:<x@ailleurs.test>", 250);
    smtp.expect(&format!("RCPT TO:<{ALICE}>"), 452);
    // The tutorial's warning at 85 per cent, which a full mailbox takes all the same.
    wait_for("the warning", || {
        (moved.count(ALICE, "INBOX", "Alerte de Quota") == 1).then_some(())
    });
    // PostfixAdmin's pages see it, and IMAP says the same, in KiB.
    let mut imap = moved.imap(ALICE);
    let quota = imap.must("GETQUOTAROOT INBOX");
    let full = |line: &str| line.ends_with("(STORAGE 7 6)") || line.ends_with("(STORAGE 8 6)");
    assert!(quota.untagged.iter().any(|line| full(line)), "{quota:?}");
    let select = format!("SELECT bytes, messages FROM quota2 WHERE username = '{ALICE}'");
    wait_for("such row of quota2", || {
        let row = moved.database.rows(&select);
        let mut columns = row
            .split_whitespace()
            .map(|text| text.parse().unwrap_or(0_u64));
        let (bytes, messages) = (columns.next(), columns.next());
        let is_full = bytes.is_some_and(|bytes| (ALICES_QUOTA..8192).contains(&bytes));
        (is_full && messages == Some(2)).then_some(())
    });
}

fn expect_submission(moved: &Moved) {
    let mut smtp = greeted(moved.server.smtp("submission"));
    smtp.expect(&format!("MAIL FROM:<{BOB}>"), 530);
    let mut smtp = moved.submission();
    let ehlo = smtp.expect("EHLO client.example", 250);
    for line in ["AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"] {
        assert!(ehlo.lines.iter().any(|said| said == line), "{ehlo:?}");
    }
    smtp.expect(&format!("MAIL FROM:<{BOB}>"), 530);
    smtp.expect("AUTH LOGIN", 334);
    smtp.expect(&base64(BOB.as_bytes()), 334);
    smtp.expect(&base64(PASSWORD.as_bytes()), 235);
    smtp.expect(&format!("MAIL FROM:<{ALICE}>"), 250);
    smtp.expect("RCPT TO:<quiconque@autre.tld>", 553);
    smtp.expect("RSET", 250);
    let sent = smtp.send(
        "admin@domaine.tld",
        &["quiconque@autre.tld"],
        &message("submitted"),
    );
    assert_eq!(sent.code, 250, "{sent:?}");
    assert_eq!(moved.count(BOB, "INBOX", "submitted"), 1);
    let mut imap = moved.imap(BOB);
    imap.must("SELECT INBOX");
    let header = imap.must("UID FETCH * (BODY.PEEK[HEADER.FIELDS (RECEIVED)])");
    let header = header.untagged.concat();
    // smtpd_sasl_authenticated_header, smtpd_tls_received_header
    assert!(
        header.contains(BOB) && header.contains("TLSv1.3"),
        "{header}"
    );
}

fn expect_managesieve(moved: &Moved) {
    let mut sieve = Connection::plain(moved.server.address("managesieve"));
    let until_ok = |sieve: &mut Connection| {
        let mut lines = Vec::new();
        loop {
            let line = sieve.line();
            assert!(
                !line.starts_with("NO") && !line.starts_with("BYE"),
                "{line}"
            );
            if line.starts_with("OK") {
                return lines;
            }
            lines.push(line);
        }
    };
    until_ok(&mut sieve);
    sieve.send_line("STARTTLS");
    until_ok_line(&mut sieve);
    let mut sieve = sieve.into_tls(&moved.server.certificate());
    let capabilities = until_ok(&mut sieve);
    let announced = capabilities
        .iter()
        .find_map(|line| line.strip_prefix("\"SIEVE\" \""))
        .and_then(|rest| rest.strip_suffix('"'))
        .expect("the SIEVE capability");
    let announced: Vec<&str> = announced.split(' ').collect();
    let missing: Vec<&str> = EXTENSIONS
        .split_whitespace()
        .filter(|extension| !announced.contains(extension))
        .collect();
    assert_eq!(EXTENSIONS.split_whitespace().count(), 23);
    assert!(missing.is_empty(), "{missing:?} of {announced:?}");
    let credentials = base64(format!("\0{BOB}\0{PASSWORD}").as_bytes());
    sieve.send_line(&format!("AUTHENTICATE \"PLAIN\" \"{credentials}\""));
    until_ok(&mut sieve);
}

fn until_ok_line(sieve: &mut Connection) {
    let line = sieve.line();
    assert!(line.starts_with("OK"), "{line}");
}

fn expect_connection_limit(moved: &Moved) {
    let mut open: Vec<Imap> = (0..20).map(|_| moved.imap(ALICE)).collect();
    let mut more = Imap::connect_tls(moved.server.address("imaps"), &moved.server.certificate());
    let refused = more.command(&format!("LOGIN {ALICE} {PASSWORD}"));
    assert!(refused.tagged.starts_with("NO"), "{refused:?}");
    for imap in &mut open {
        imap.must("NOOP");
    }
    moved.imap(BOB).must("NOOP");
}

#[test]
fn postfix_dovecot_postfixadmin_and_mariadb_move() {
    let Some(moved) = moved() else { return };
    expect_mail_in(&moved);
    expect_clients(&moved);
    expect_mail_log(&moved);
    expect_filters(&moved);
    expect_quota(&moved);
    expect_submission(&moved);
    expect_managesieve(&moved);
    expect_connection_limit(&moved);
    let test = ["account", "test", "--no-login", "bob@alias.tld"];
    let said = moved.server.must(&test, "");
    assert!(said.contains(BOB), "{said}");
}
