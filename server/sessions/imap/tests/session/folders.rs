use facteur_session_imap::{Namespace, Options};

use crate::rig::{Client, Rig};

async fn listed(client: &mut Client, arguments: &str) -> Vec<String> {
    client.ok(&format!("LIST {arguments}")).await
}

#[tokio::test]
async fn list_tells_children_and_special_use() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.ok("CREATE a/b").await;
    client.ok("CREATE \"&AOk-/\"").await;
    let all = listed(&mut client, "\"\" *").await;
    assert_eq!(all[0], "* LIST (\\HasNoChildren) \"/\" INBOX");
    for expected in [
        "* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
        "* LIST (\\HasNoChildren \\Junk) \"/\" Spam",
        "* LIST (\\HasNoChildren) \"/\" a/b",
        "* LIST (\\HasNoChildren) \"/\" &AOk-",
    ] {
        assert!(
            all.iter().any(|line| line == expected),
            "{expected}: {all:?}"
        );
    }
    let top = listed(&mut client, "\"\" %").await;
    assert!(
        top.iter()
            .any(|line| line.contains("\\HasChildren") && line.ends_with(" a")),
        "{top:?}"
    );
    assert!(!top.iter().any(|line| line.ends_with("a/b")));
    assert_eq!(
        listed(&mut client, "a/ %").await,
        ["* LIST (\\HasNoChildren) \"/\" a/b"]
    );
    assert_eq!(
        listed(&mut client, "\"\" inbox").await,
        ["* LIST (\\HasNoChildren) \"/\" INBOX"]
    );
    assert_eq!(
        listed(&mut client, "\"\" \"\"").await,
        ["* LIST (\\Noselect) \"/\" \"\""]
    );
}

/// What the capability SPECIAL-USE stands for (RFC 6154 §2) was answered with BAD.
#[tokio::test]
async fn rfc6154_list_selects_special_use() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let special = [
        "* LIST (\\HasNoChildren \\Junk) \"/\" Spam",
        "* LIST (\\HasNoChildren \\Trash) \"/\" Trash",
    ];
    assert_eq!(client.ok("LIST (SPECIAL-USE) \"\" *").await, special);
    let all = client.ok("LIST \"\" * RETURN (SPECIAL-USE)").await;
    assert_eq!(all[0], "* LIST (\\HasNoChildren) \"/\" INBOX");
    assert_eq!(all[1..], special);
}

#[tokio::test]
async fn pattern_that_is_no_utf7_matches_nothing() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.ok("CREATE R&-D").await;
    assert_eq!(client.ok("LIST \"\" \"R&*\"").await, [""; 0]);
    assert_eq!(client.ok("LSUB \"\" \"&\"").await, [""; 0]);
}

#[tokio::test]
async fn lsub_shows_levels_above_subscribed_names() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.ok("CREATE a/b").await;
    client.ok("SUBSCRIBE a/b").await;
    client.ok("UNSUBSCRIBE Spam").await;
    let all = client.ok("LSUB \"\" *").await;
    assert!(all.contains(&"* LSUB () \"/\" a/b".to_owned()), "{all:?}");
    assert!(all.contains(&"* LSUB () \"/\" Trash".to_owned()), "{all:?}");
    assert!(
        !all.iter()
            .any(|line| line.contains("Spam") || line.ends_with(" a")),
        "{all:?}"
    );
    let top = client.ok("LSUB \"\" %").await;
    assert!(
        top.contains(&"* LSUB (\\Noselect) \"/\" a".to_owned()),
        "{top:?}"
    );
    // RFC 3501 6.3.9: a name stays subscribed though its mailbox is gone.
    client.ok("DELETE a/b").await;
    assert!(
        client
            .ok("LSUB \"\" *")
            .await
            .contains(&"* LSUB () \"/\" a/b".to_owned())
    );
}

#[tokio::test]
async fn mailboxes_are_made_renamed_and_deleted() {
    let rig = Rig::new();
    let mut client = rig.alice_with(1).await;
    client.ok("CREATE a").await;
    assert!(
        client
            .reply("CREATE a")
            .await
            .starts_with("NO [ALREADYEXISTS]")
    );
    assert!(
        client
            .reply("CREATE inbox")
            .await
            .starts_with("NO [ALREADYEXISTS]")
    );
    assert!(client.reply("CREATE ../x").await.starts_with("NO [CANNOT]"));
    assert!(client.reply("CREATE a//b").await.starts_with("NO [CANNOT]"));
    assert!(
        client
            .reply("DELETE INBOX")
            .await
            .starts_with("NO [CANNOT]")
    );
    assert!(
        client
            .reply("DELETE x")
            .await
            .starts_with("NO [NONEXISTENT]")
    );
    client.ok("RENAME a c/d").await;
    assert_eq!(
        client.ok("STATUS c/d (MESSAGES)").await,
        ["* STATUS c/d (MESSAGES 0)"]
    );
    assert!(
        client
            .reply("STATUS a (MESSAGES)")
            .await
            .starts_with("NO [NONEXISTENT]")
    );
    // RFC 3501 6.3.5: INBOX stays, its messages move.
    client.ok("UNSELECT").await;
    client.ok("RENAME INBOX old").await;
    assert_eq!(
        client.ok("STATUS old (MESSAGES UNSEEN)").await,
        ["* STATUS old (MESSAGES 1 UNSEEN 1)"]
    );
    assert_eq!(
        client.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS INBOX (MESSAGES 0)"]
    );
}

#[tokio::test]
async fn status_tells_what_is_asked() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    client.ok("UNSELECT").await;
    let status = client.ok("STATUS INBOX (UIDNEXT SIZE RECENT UNSEEN)").await;
    assert_eq!(
        status,
        ["* STATUS INBOX (UIDNEXT 3 SIZE 80 RECENT 0 UNSEEN 2)"]
    );
}

#[tokio::test]
async fn hidden_alias_namespace_names_the_same_mailboxes() {
    let rig = Rig::with(Options {
        namespaces: vec![
            Namespace::default(),
            Namespace {
                prefix: "INBOX/".into(),
                hidden: true,
                list: false,
                ..Namespace::default()
            },
        ],
        ..Options::default()
    });
    let mut client = rig.alice().await;
    assert_eq!(
        client.ok("NAMESPACE").await,
        ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]
    );
    client.append("INBOX/Trash", "", b"A: b\r\n").await;
    assert_eq!(
        client.ok("STATUS Trash (MESSAGES)").await,
        ["* STATUS Trash (MESSAGES 1)"]
    );
    assert_eq!(
        client.ok("STATUS inbox/Trash (MESSAGES)").await,
        ["* STATUS inbox/Trash (MESSAGES 1)"]
    );
    client.ok("CREATE INBOX/Neu").await;
    let all = listed(&mut client, "\"\" *").await;
    assert!(all.iter().any(|line| line.ends_with(" Neu")), "{all:?}");
    assert!(!all.iter().any(|line| line.contains("INBOX/")), "{all:?}");
    let spelt = listed(&mut client, "\"\" INBOX/%").await;
    assert!(
        spelt.iter().any(|line| line.ends_with(" INBOX/Neu")),
        "{spelt:?}"
    );
}

fn with_prefix(prefix: &str, separator: char) -> Rig {
    Rig::with(Options {
        namespaces: vec![Namespace {
            prefix: prefix.into(),
            separator,
            ..Namespace::default()
        }],
        ..Options::default()
    })
}

/// Without a namespace that has no prefix there was no INBOX; and INBOX had no children, so that a
/// client that trusts `\\HasNoChildren` never saw another folder.
#[tokio::test]
async fn inbox_is_above_all_others_where_the_prefix_says_so() {
    let rig = with_prefix("INBOX.", '.');
    let mut client = rig.alice().await;
    client.ok("SELECT inbox").await;
    assert_eq!(
        listed(&mut client, "\"\" %").await,
        ["* LIST (\\HasChildren) \".\" INBOX"]
    );
    assert_eq!(
        listed(&mut client, "\"\" INBOX.%").await,
        [
            "* LIST (\\HasNoChildren \\Junk) \".\" INBOX.Spam",
            "* LIST (\\HasNoChildren \\Trash) \".\" INBOX.Trash"
        ]
    );
    let reply = client.reply("SELECT Spam").await;
    assert!(reply.starts_with("NO [NONEXISTENT]"), "{reply}");
}

#[tokio::test]
async fn prefix_of_a_namespace_is_listed_as_a_level() {
    let rig = with_prefix("Mail/", '/');
    let mut client = rig.alice().await;
    assert_eq!(
        listed(&mut client, "\"\" %").await,
        [
            "* LIST (\\Noselect \\HasChildren) \"/\" Mail",
            "* LIST (\\HasNoChildren) \"/\" INBOX"
        ]
    );
    client.ok("CREATE Mail/x").await;
    assert_eq!(
        listed(&mut client, "Mail/ x").await,
        ["* LIST (\\HasNoChildren) \"/\" Mail/x"]
    );
}
