use facteur_session_imap::Options;

use crate::rig::Rig;

#[tokio::test]
async fn appended_message_comes_back_octet_by_octet() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let message = b"Subject: caf\xc3\xa9\r\n\r\n\xff\xfe 8bit\r\n.\r\n";
    let uid = client
        .append(
            "INBOX",
            "(\\Seen $Work) \"17-Jul-1996 02:44:25 -0700\"",
            message,
        )
        .await;
    client.ok("SELECT INBOX").await;
    let fetched = client
        .ok(&format!(
            "UID FETCH {uid} (FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"
        ))
        .await;
    let body: String = message.iter().map(|b| char::from(*b)).collect();
    assert_eq!(
        fetched,
        [format!(
            "* 1 FETCH (UID {uid} FLAGS (\\Seen $Work \\Recent) \
             INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE {size} BODY[] {{{size}}}\r\n{body})",
            size = message.len()
        )]
    );
}

#[tokio::test]
async fn synchronizing_literal_is_asked_for() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let tag = client.start("APPEND INBOX {4}").await;
    assert_eq!(client.response().await, "+ OK");
    client.send(b"A: b\r\n").await;
    let reply = client.finish(&tag).await.pop().unwrap();
    assert!(reply.starts_with("OK [APPENDUID "), "{reply}");
}

#[tokio::test]
async fn bare_line_feeds_become_crlf() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.append("INBOX", "", b"A: b\n\nc\r\nd\n").await;
    client.ok("SELECT INBOX").await;
    assert_eq!(
        client.ok("FETCH 1 BODY.PEEK[]").await,
        ["* 1 FETCH (BODY[] {14}\r\nA: b\r\n\r\nc\r\nd\r\n)"]
    );
}

#[tokio::test]
async fn missing_mailbox_asks_to_be_created() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let reply = client.try_append("Nowhere", "", b"A: b\r\n").await;
    assert!(reply.starts_with("NO [TRYCREATE]"), "{reply}");
    // A large one is refused before it comes.
    let tag = client.start("APPEND Nowhere {1000000}").await;
    let reply = client.finish(&tag).await.pop().unwrap();
    assert!(reply.starts_with("NO [TRYCREATE]"), "{reply}");
    client.ok("NOOP").await;
}

#[tokio::test]
async fn message_over_the_limit_is_refused_before_it_comes() {
    let rig = Rig::with(Options {
        message_size_limit: 1000,
        ..Options::default()
    });
    let mut client = rig.alice().await;
    assert_eq!(
        client.ok("STATUS INBOX (APPENDLIMIT)").await,
        ["* STATUS INBOX (APPENDLIMIT 1000)"]
    );
    assert!(
        client
            .reply("APPEND INBOX {1001}")
            .await
            .starts_with("NO [TOOBIG]")
    );
    let reply = client.try_append("INBOX", "", &[b'a'; 1001]).await;
    assert!(reply.starts_with("NO [TOOBIG]"), "{reply}");
    client.append("INBOX", "", &[b'a'; 1000]).await;
}

#[tokio::test]
async fn quota_is_kept_to_the_byte() {
    let rig = Rig::new();
    let mut client = rig.user("bob").await;
    client.append("INBOX", "", &[b'a'; 12_000]).await;
    assert_eq!(
        client.ok("GETQUOTAROOT INBOX").await,
        [
            "* QUOTAROOT INBOX \"User quota\"",
            "* QUOTA \"User quota\" (STORAGE 12 20)"
        ]
    );
    let reply = client.try_append("INBOX", "", &[b'a'; 12_000]).await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    let reply = client.reply("APPEND INBOX {100000}").await;
    assert!(reply.starts_with("NO [OVERQUOTA]"), "{reply}");
    client.append("INBOX", "", &[b'a'; 8_000]).await;
    assert!(client.reply("GETQUOTA nothing").await.starts_with("NO"));
    assert!(
        client
            .reply("SETQUOTA \"User quota\" (STORAGE 1)")
            .await
            .starts_with("NO [NOPERM]")
    );
}

/// RFC 9208 §4.1.2 and §7: a mailbox need not be there to ask where it would count, and a QUOTA
/// response without a resource is none.
#[tokio::test]
async fn quota_root_is_told_of_any_name_and_only_where_there_is_a_limit() {
    let rig = Rig::new();
    let mut bob = rig.user("bob").await;
    assert_eq!(
        bob.ok("GETQUOTAROOT \"to be\"").await,
        [
            "* QUOTAROOT \"to be\" \"User quota\"",
            "* QUOTA \"User quota\" (STORAGE 0 20)"
        ]
    );
    let mut alice = rig.alice().await;
    assert_eq!(alice.ok("GETQUOTAROOT INBOX").await, ["* QUOTAROOT INBOX"]);
    let reply = alice.reply("GETQUOTA \"User quota\"").await;
    assert!(reply.starts_with("NO [NONEXISTENT]"), "{reply}");
}

#[tokio::test]
async fn bad_appends_leave_the_session_usable() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    assert!(
        client
            .try_append("INBOX", "(\\Recent)", b"A: b\r\n")
            .await
            .starts_with("BAD")
    );
    assert!(
        client
            .try_append("INBOX", "(\\Nonsense)", b"A: b\r\n")
            .await
            .starts_with("BAD")
    );
    assert!(
        client
            .try_append("INBOX", "\"yesterday\"", b"A: b\r\n")
            .await
            .starts_with("BAD")
    );
    assert!(client.try_append("INBOX", "", b"").await.starts_with("NO"));
    assert!(
        client
            .try_append("INBOX", "", b"A: \0\r\n")
            .await
            .starts_with("NO")
    );
    assert!(
        client
            .try_append("&&", "", b"A: b\r\n")
            .await
            .starts_with("NO [CANNOT]")
    );
    let status = client.ok("STATUS INBOX (MESSAGES)").await;
    assert_eq!(status, ["* STATUS INBOX (MESSAGES 0)"]);
}

#[tokio::test]
async fn large_message_streams_in_and_out() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    for number in 0..60_000 {
        message.extend_from_slice(format!("line {number}\r\n").as_bytes());
    }
    client.append("INBOX", "", &message).await;
    client.ok("SELECT INBOX").await;
    let text = String::from_utf8(message).unwrap();
    let whole = client.ok("FETCH 1 (BODY.PEEK[] UID)").await;
    assert!(whole[0] == format!("* 1 FETCH (BODY[] {{{}}}\r\n{text} UID 1)", text.len()));
    let cut = client.ok("FETCH 1 BODY.PEEK[]<100000.300000>").await;
    assert!(
        cut[0]
            == format!(
                "* 1 FETCH (BODY[]<100000> {{300000}}\r\n{})",
                &text[100_000..400_000]
            )
    );
    let header = client.ok("FETCH 1 BODY.PEEK[HEADER]").await;
    assert_eq!(
        header,
        ["* 1 FETCH (BODY[HEADER] {18}\r\nSubject: large\r\n\r\n)"]
    );
}
