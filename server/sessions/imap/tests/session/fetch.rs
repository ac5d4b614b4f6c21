use crate::rig::Rig;

const MESSAGE: &[u8] = b"From: Terry <gray@cac.test>\r\n\
    To: imap@cac.test\r\n\
    Subject: Hello\r\n\
    Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n\
    Message-ID: <1@cac.test>\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n\
    --b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\none\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ntwo\r\n--b--\r\n";

#[tokio::test]
async fn metadata_is_answered_in_the_order_asked() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client
        .append("INBOX", "\"01-Feb-2003 04:05:06 +0000\"", MESSAGE)
        .await;
    client.ok("SELECT INBOX").await;
    let size = MESSAGE.len();
    assert_eq!(
        client.ok("FETCH 1 ALL").await,
        [format!(
            "* 1 FETCH (FLAGS (\\Recent) INTERNALDATE \"01-Feb-2003 04:05:06 +0000\" \
             RFC822.SIZE {size} ENVELOPE (\"Wed, 17 Jul 1996 02:23:25 -0700\" \"Hello\" \
             ((\"Terry\" NIL \"gray\" \"cac.test\")) ((\"Terry\" NIL \"gray\" \"cac.test\")) \
             ((\"Terry\" NIL \"gray\" \"cac.test\")) ((NIL NIL \"imap\" \"cac.test\")) \
             NIL NIL NIL \"<1@cac.test>\"))"
        )]
    );
    let structure = client.ok("UID FETCH 1 (BODYSTRUCTURE)").await.concat();
    assert!(
        structure.starts_with(
            "* 1 FETCH (UID 1 BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\")"
        ) || structure.starts_with(
            "* 1 FETCH (UID 1 BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\")"
        ),
        "{structure}"
    );
}

#[tokio::test]
async fn sections_are_cut_from_the_message() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.append("INBOX", "", MESSAGE).await;
    client.ok("SELECT INBOX").await;
    for (asked, answered) in [
        ("BODY.PEEK[1]", "BODY[1] {3}\r\none"),
        ("BODY.PEEK[2.TEXT]", "BODY[2.TEXT] {3}\r\ntwo"),
        (
            "BODY.PEEK[2.HEADER]",
            "BODY[2.HEADER] {15}\r\nSubject: in\r\n\r\n",
        ),
        (
            "BODY.PEEK[2.MIME]",
            "BODY[2.MIME] {32}\r\nContent-Type: message/rfc822\r\n\r\n",
        ),
        ("BODY.PEEK[1]<1.1>", "BODY[1]<1> {1}\r\nn"),
        ("BODY.PEEK[7]", "BODY[7] NIL"),
        (
            "BODY.PEEK[HEADER.FIELDS (subject \"X-None\")]",
            "BODY[HEADER.FIELDS (subject X-None)] {18}\r\nSubject: Hello\r\n\r\n",
        ),
        (
            "(BODY.PEEK[1] BODY.PEEK[2.1])",
            "BODY[1] {3}\r\none BODY[2.1] {3}\r\ntwo",
        ),
    ] {
        assert_eq!(
            client.ok(&format!("FETCH 1 {asked}")).await,
            [format!("* 1 FETCH ({answered})")]
        );
    }
    let flags = client.ok("FETCH 1 FLAGS").await.concat();
    assert!(!flags.contains("Seen"), "{flags}");
}

/// Asked for together with the whole header they are cut from the file, alone they come from what the
/// index keeps.
#[tokio::test]
async fn header_fields_from_the_index_are_those_of_the_file() {
    const ODD: &[u8] = b"received: one\r\n\ttwo\r\nSubject: ab\r\njunk\r\nX-Tag : 1\r\nReceived: three\r\n\r\nx\r\n";
    let rig = Rig::new();
    let mut client = rig.alice().await;
    for message in [MESSAGE, ODD, b"Subject: no end", b"\r\nSubject: body\r\n"] {
        client.append("INBOX", "", message).await;
    }
    client.ok("SELECT INBOX").await;
    for fields in [
        "Subject From",
        "received X-TAG",
        "X-None",
        "x-tag SUBJECT Received",
    ] {
        let item = format!("BODY.PEEK[HEADER.FIELDS ({fields})]");
        let from_file = client
            .ok(&format!("FETCH 1:* ({item} BODY.PEEK[1]<0.1>)"))
            .await;
        for _ in 0..2 {
            let kept = client.ok(&format!("FETCH 1:* ({item})")).await;
            assert_eq!(kept.len(), 4);
            for (kept, from_file) in kept.iter().zip(&from_file) {
                let kept = kept.strip_suffix(')').unwrap();
                assert!(from_file.starts_with(kept), "{kept} {from_file}");
            }
        }
    }
    let two = "BODY.PEEK[HEADER.FIELDS (Subject)]<3.4> BODY.PEEK[HEADER.FIELDS (X-Tag Received)]";
    assert_eq!(
        client.ok(&format!("FETCH 2 ({two})")).await,
        ["* 2 FETCH (BODY[HEADER.FIELDS (Subject)]<3> {4}\r\nject \
          BODY[HEADER.FIELDS (X-Tag Received)] {51}\r\n\
          received: one\r\n\ttwo\r\nX-Tag : 1\r\nReceived: three\r\n\r\n)"]
    );
    client.ok("FETCH 1 BODY[HEADER.FIELDS (Subject)]").await;
    let flags = client.ok("FETCH 1 FLAGS").await.concat();
    assert!(flags.contains("\\Seen"), "{flags}");
}

#[tokio::test]
async fn reading_a_body_marks_it_seen_once() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    let first = client.ok("FETCH 1 BODY[TEXT]").await;
    assert_eq!(
        first,
        ["* 1 FETCH (BODY[TEXT] {8}\r\nbody 1\r\n FLAGS (\\Seen \\Recent))"]
    );
    assert_eq!(
        client.ok("FETCH 1 BODY[TEXT]").await,
        ["* 1 FETCH (BODY[TEXT] {8}\r\nbody 1\r\n)"]
    );
    client.ok("FETCH 2 RFC822.HEADER").await;
    assert_eq!(
        client.ok("FETCH 2 FLAGS").await,
        ["* 2 FETCH (FLAGS (\\Recent))"]
    );
    client.ok("EXAMINE INBOX").await;
    client.ok("FETCH 2 RFC822").await;
    let flags = client.ok("FETCH 2 FLAGS").await.concat();
    assert!(!flags.contains("Seen"), "{flags}");
}

#[tokio::test]
async fn many_messages_come_in_order() {
    let rig = Rig::new();
    let mut client = rig.alice_with(300).await;
    let fetched = client.ok("FETCH 1:* BODY.PEEK[]").await;
    assert_eq!(fetched.len(), 300);
    for (at, response) in fetched.iter().enumerate() {
        let number = at + 1;
        assert!(
            response.starts_with(&format!("* {number} FETCH (BODY[] ")),
            "{response}"
        );
        assert!(
            response.contains(&format!("Subject: m{number}\r\n")),
            "{response}"
        );
    }
    let envelopes = client.ok("UID FETCH 2:* ENVELOPE").await;
    assert_eq!(envelopes.len(), 299);
    assert!(envelopes[298].starts_with("* 300 FETCH (UID 300 ENVELOPE (NIL \"m300\" "));
}

#[tokio::test]
async fn messages_cut_short_on_disk_are_left_out_of_fetch_and_search() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let long = [
        b"Subject: long\r\n\r\n".to_vec(),
        b"needle\r\n".repeat(60_000),
    ]
    .concat();
    for message in [MESSAGE, &long, MESSAGE, b"Subject: last\r\n\r\nneedle\r\n"] {
        client.append("INBOX", "", message).await;
    }
    for uid in [1, 2] {
        let file = std::fs::File::options().write(true).open(rig.file(uid));
        file.unwrap().set_len(100).unwrap();
    }
    client.ok("SELECT INBOX").await;
    let mut responses = client.command("UID FETCH 1:* BODY.PEEK[]").await;
    let reply = responses.pop().unwrap();
    assert!(reply.starts_with("NO [SERVERBUG] "), "{reply}");
    let numbers: Vec<_> = responses.iter().map(|r| r.get(..10).unwrap()).collect();
    assert_eq!(numbers, ["* 3 FETCH ", "* 4 FETCH "]);
    assert_eq!(client.ok("SEARCH BODY needle").await, ["* SEARCH 4"]);
}

#[tokio::test]
async fn sets_name_messages_or_are_bad() {
    let rig = Rig::new();
    let mut client = rig.alice_with(3).await;
    assert_eq!(
        client.ok("FETCH *,1 UID").await,
        ["* 1 FETCH (UID 1)", "* 3 FETCH (UID 3)"]
    );
    assert_eq!(
        client.ok("UID FETCH 100:* UID").await,
        ["* 3 FETCH (UID 3)"]
    );
    assert_eq!(client.ok("UID FETCH 50 FLAGS").await, [""; 0]);
    assert!(client.reply("FETCH 4 UID").await.starts_with("BAD"));
    assert!(client.reply("FETCH 0 UID").await.starts_with("BAD"));
    client.ok("SELECT Trash").await;
    assert_eq!(client.ok("FETCH 1:* FLAGS").await, [""; 0]);
    assert!(client.reply("FETCH 1 FLAGS").await.starts_with("BAD"));
}

#[tokio::test]
async fn rfc7162_changedsince_tells_only_what_changed() {
    let rig = Rig::new();
    let mut client = rig.alice_with(3).await;
    let since = client
        .ok("STATUS INBOX (HIGHESTMODSEQ)")
        .await
        .pop()
        .unwrap();
    let since: u64 = since
        .trim_end_matches(')')
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let stored = client.ok("STORE 2 +FLAGS (\\Flagged)").await;
    assert!(stored[0].contains("MODSEQ ("), "{stored:?}");
    let changed = client
        .ok(&format!("FETCH 1:* (FLAGS) (CHANGEDSINCE {since})"))
        .await;
    assert_eq!(changed.len(), 1);
    assert!(
        changed[0].starts_with("* 2 FETCH (FLAGS (\\Flagged \\Recent) MODSEQ ("),
        "{changed:?}"
    );
}
