use super::*;

fn command(text: &str) -> Command {
    parse(text.as_bytes())
        .unwrap_or_else(|refused| panic!("{text}: {refused:?}"))
        .1
}

fn refusal(text: &str) -> (Option<String>, String) {
    let refused = parse(text.as_bytes()).expect_err(text);
    (refused.tag.map(|tag| tag.to_string()), refused.text)
}

fn name(text: &str) -> MailboxArgument {
    MailboxArgument::new(text.as_bytes())
}

#[test]
fn verbs_without_arguments_are_known_in_any_case() {
    for (text, expected) in [
        ("a capability", Command::Capability),
        ("a NoOp", Command::Noop),
        ("a LOGOUT", Command::Logout),
        ("a STARTTLS", Command::StartTls),
        ("a NAMESPACE", Command::Namespace),
        ("a IDLE", Command::Idle),
        ("a CHECK", Command::Check),
        ("a CLOSE", Command::Close),
        ("a UNSELECT", Command::Unselect),
        ("a EXPUNGE", Command::Expunge(None)),
    ] {
        assert_eq!(command(text), expected);
        let (tag, _) = refusal(&format!("{text} x"));
        assert_eq!(tag.as_deref(), Some("a"));
    }
}

#[test]
fn authenticate_keeps_its_base64() {
    assert_eq!(
        command("a authenticate plain AGEAYg=="),
        Command::Authenticate {
            mechanism: "plain".into(),
            initial_response: Some(Secret::new(b"AGEAYg==".to_vec())),
        }
    );
    assert_eq!(
        command("a AUTHENTICATE PLAIN"),
        Command::Authenticate {
            mechanism: "PLAIN".into(),
            initial_response: None,
        }
    );
    refusal("a AUTHENTICATE");
    refusal("a AUTHENTICATE PLAIN ");
    refusal("a AUTHENTICATE PLAIN AG EA");
}

#[test]
fn select_takes_condstore_only() {
    assert_eq!(
        command("a SELECT inbox (CONDSTORE)"),
        Command::Select {
            mailbox: name("INBOX"),
            read_only: false,
            condstore: true,
        }
    );
    assert_eq!(
        command("a EXAMINE \"a b\""),
        Command::Select {
            mailbox: name("a b"),
            read_only: true,
            condstore: false,
        }
    );
    refusal("a SELECT INBOX (QRESYNC (1 1))");
    refusal("a SELECT");
    refusal("a SELECT \"INBOX");
}

#[test]
fn store_is_taken_apart() {
    let Command::Store(store) =
        command("a UID STORE 4:5 (UNCHANGEDSINCE 12) +FLAGS.SILENT (\\Deleted $A)")
    else {
        panic!();
    };
    assert!(store.uid && store.silent);
    assert_eq!(store.action, FlagsAction::Add);
    assert_eq!(store.unchanged_since, Some(12));
    assert_eq!(store.flags.iter().collect::<Vec<_>>(), ["\\Deleted", "$A"]);
    let Command::Store(store) = command("a STORE 1 FLAGS ()") else {
        panic!();
    };
    assert_eq!(store.flags, FlagList::default());
    assert_eq!(store.action, FlagsAction::Replace);
    refusal("a STORE 1 FLAGS (\\Recent)");
    refusal("a STORE 1 FLAGS (\\*)");
}

#[test]
fn message_sets_and_mailboxes_are_taken_apart() {
    let Command::Copy(copy) = command("a UID COPY 1,5:* &AOk-") else {
        panic!();
    };
    assert!(copy.uid);
    assert_eq!(copy.mailbox.decode().as_deref(), Ok("é"));
    assert!(matches!(
        command("a MOVE 1 x"),
        Command::Move(MailboxSet { uid: false, .. })
    ));
    assert!(matches!(
        command("a UID EXPUNGE 1:2"),
        Command::Expunge(Some(_))
    ));
    assert_eq!(
        command("a RENAME INBOX \"old mail\""),
        Command::Rename {
            from: name("INBOX"),
            to: name("old mail"),
        }
    );
}

#[test]
fn list_patterns_need_no_quotes() {
    assert_eq!(
        command("a LIST \"\" %/*"),
        Command::List(List {
            reference: name(""),
            pattern: name("%/*"),
            special_use: false,
        })
    );
    let special = |text: &str| match command(text) {
        Command::List(list) => list.special_use,
        other => panic!("{other:?}"),
    };
    // RFC 6154 §5.3
    assert!(!special("a LIST \"\" \"%\" RETURN (SPECIAL-USE)"));
    assert!(special("a LIST (SPECIAL-USE) \"\" \"*\""));
    assert!(special("a LIST (special-use) \"\" * return (special-use)"));
    assert!(!special("a LIST () \"\" * RETURN ()"));
    refusal("a LIST (SUBSCRIBED) \"\" *");
    refusal("a LIST (SPECIAL-USE \"\" *");
    refusal("a LIST \"\" * RETURN");
    refusal("a LIST \"\" * RETURN (STATUS (MESSAGES))");
    refusal("a LSUB (SPECIAL-USE) \"\" *");
    assert!(matches!(command("a LSUB \"#x\" \"*\""), Command::Lsub(_)));
    refusal("a LIST \"\"");
    refusal("a LIST \"\" (a)");
}

#[test]
fn rfc8438_status_size() {
    assert_eq!(
        command("a STATUS blurdybloop (MESSAGES size uidnext SIZE)"),
        Command::Status {
            mailbox: name("blurdybloop"),
            items: vec![StatusItem::Messages, StatusItem::Size, StatusItem::UidNext],
        }
    );
    refusal("a STATUS x ()");
    refusal("a STATUS x (FOO)");
    refusal("a STATUS x MESSAGES");
}

#[test]
fn id_and_enable_and_quota_are_read() {
    assert_eq!(
        command("a ID (\"name\" \"x\" \"os\" NIL)"),
        Command::Id(vec![("name".into(), Some("x".into())), ("os".into(), None)])
    );
    assert_eq!(command("a ID NIL"), Command::Id(vec![]));
    assert_eq!(
        command("a ENABLE CONDSTORE X-OTHER"),
        Command::Enable(vec!["CONDSTORE".into(), "X-OTHER".into()])
    );
    assert_eq!(command("a GETQUOTA \"\""), Command::GetQuota(vec![]));
    assert!(matches!(
        command("a GETQUOTAROOT INBOX"),
        Command::GetQuotaRoot(_)
    ));
    assert!(matches!(
        command("a SETQUOTA \"\" (STORAGE 512)"),
        Command::SetQuota(_)
    ));
}

#[test]
fn nonsense_is_refused_with_its_tag() {
    assert_eq!(refusal("").0, None);
    assert_eq!(refusal(" NOOP").0, None);
    assert_eq!(refusal("a").0, None);
    assert_eq!(refusal("+ NOOP").0, None);
    assert_eq!(refusal("a ").0.as_deref(), Some("a"));
    let (tag, text) = refusal("a1 XYZZY 1 2");
    assert_eq!(
        (tag.as_deref(), text.as_str()),
        (Some("a1"), "Unknown command XYZZY")
    );
    let (_, text) = refusal("a UID NOOP");
    assert_eq!(text, "Unknown command UID NOOP");
    let (_, text) = refusal("a UID");
    assert_eq!(text, "Unknown command UID");
    let (_, text) = refusal("a FETCH 1 FOO");
    assert_eq!(
        text,
        "FETCH: expected a message data item that this server has"
    );
    for verb in ["SORT", "THREAD", "COMPRESS", "GETMETADATA", "APPEND"] {
        assert_eq!(
            refusal(&format!("a {verb} x")).1,
            format!("Unknown command {verb}")
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_line_is_parsed_or_refused(line in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80)) {
        let _ = parse(&line);
        let mut with_verb = b"a UID FETCH ".to_vec();
        with_verb.extend_from_slice(&line);
        let _ = parse(&with_verb);
    }
}
