//! `facteur domain`, `account` and `alias` beside a running server.

use facteur_tests::Setup;

#[test]
fn account_added_beside_the_running_server_logs_in_and_gets_mail() {
    let server = Setup::new().with_alice_and_bob().start();
    let carol = "carol@example.test";
    server.must(
        &["account", "add", carol, "--quota", "5M"],
        "carol-password\n",
    );
    let alias = ["alias", "add", "info@example.test", carol];
    server.must(&alias, "");
    let list = server.must(&["account", "list"], "");
    assert!(list.contains("carol@example.test quota 5M"), "{list}");

    let right = server.cli(&["account", "test", carol], "carol-password\n");
    let said = String::from_utf8_lossy(&right.stdout);
    assert!(right.status.success(), "{said}");
    assert!(
        said.contains("ARGON2ID") && said.contains("the password fits"),
        "{said}"
    );
    let wrong = server.cli(&["account", "test", carol], "alice-password\n");
    assert_eq!(wrong.status.code(), Some(1));

    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let sent = smtp.send(
        "x@remote.test",
        &["info@example.test"],
        "Subject: hello\r\n\r\nhello\r\n",
    );
    assert_eq!(sent.code, 250);
    let mut imap = server.imap(carol, "carol-password");
    let selected = imap.must("SELECT INBOX");
    let one = selected.untagged.contains(&"1 EXISTS".to_owned());
    assert!(one, "{selected:?}");
}

#[test]
fn verbs_that_cannot_do_what_they_are_told_say_why() {
    let server = Setup::new().with_alice_and_bob().start();
    for (arguments, input, reason) in [
        (&["domain", "add", "example.test"][..], "", "exists already"),
        (
            &["domain", "remove", "example.test"],
            "",
            "still has accounts (2, ",
        ),
        (
            &["account", "add", "alice@example.test"],
            "x\n",
            "exists already",
        ),
        (
            &["account", "add", "dave@example.test"],
            "\n",
            "password is empty",
        ),
        (
            &["account", "add", "dave@other.test"],
            "x\n",
            "no domain other.test",
        ),
        (&["account", "show", "dave@example.test"], "", "no account"),
        (
            &["alias", "remove", "alice@example.test"],
            "",
            "is an account",
        ),
        (&["alias", "show", "nobody@example.test"], "", "no alias"),
    ] {
        let output = server.cli(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?} {said}");
        assert!(said.contains(reason), "{arguments:?} {said}");
    }
}
