//! STORE, EXPUNGE, COPY, MOVE, CLOSE.

use crate::rig::Rig;

#[tokio::test]
async fn select_describes_the_mailbox() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    client.ok("STORE 1 FLAGS (\\Seen $A)").await;
    let described = client.command("SELECT inbox (CONDSTORE)").await;
    assert_eq!(described[0], "* OK [CLOSED] Previous mailbox closed");
    assert_eq!(
        described[1],
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $A)"
    );
    assert!(described[2].starts_with("* OK [PERMANENTFLAGS (") && described[2].contains("\\*)]"));
    assert_eq!(described[3..5], ["* 2 EXISTS", "* 0 RECENT"]);
    assert!(described[5].starts_with("* OK [UNSEEN 2]"));
    assert!(described[6].starts_with("* OK [UIDVALIDITY "));
    assert!(described[7].starts_with("* OK [UIDNEXT 3]"));
    assert!(described[8].starts_with("* OK [HIGHESTMODSEQ "));
    assert_eq!(described[9], "OK [READ-WRITE] SELECT completed");
    let reply = client.reply("SELECT Nowhere").await;
    assert!(reply.starts_with("NO [NONEXISTENT]"), "{reply}");
    assert!(client.reply("FETCH 1 FLAGS").await.starts_with("BAD"));
}

#[tokio::test]
async fn store_answers_with_flags_unless_silent() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    assert_eq!(
        client.ok("STORE 1:2 +FLAGS (\\Seen)").await,
        [
            "* 1 FETCH (FLAGS (\\Seen \\Recent))",
            "* 2 FETCH (FLAGS (\\Seen \\Recent))"
        ]
    );
    assert_eq!(client.ok("STORE 1 -FLAGS.SILENT (\\Seen)").await, [""; 0]);
    let told = client.ok("UID STORE 1 FLAGS ($New \\Draft)").await;
    assert!(
        told[0].starts_with("* FLAGS (") && told[0].contains("$New"),
        "{told:?}"
    );
    assert_eq!(told[2], "* 1 FETCH (UID 1 FLAGS (\\Draft $New \\Recent))");
    assert_eq!(told.len(), 3);
    client.ok("EXAMINE INBOX").await;
    assert!(
        client
            .reply("STORE 1 FLAGS ()")
            .await
            .starts_with("NO [READ-ONLY]")
    );
    assert!(client.reply("EXPUNGE").await.starts_with("NO [READ-ONLY]"));
}

#[tokio::test]
async fn rfc7162_unchangedsince_leaves_changed_messages_alone() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    let first = client.ok("FETCH 1:2 (MODSEQ)").await;
    let modseq = |line: &str| {
        let at = line.find("MODSEQ (").unwrap() + 8;
        line[at..]
            .split(')')
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let since = first
        .iter()
        .filter(|l| l.contains("MODSEQ ("))
        .map(|l| modseq(l))
        .max()
        .unwrap();
    client.ok("STORE 2 +FLAGS.SILENT (\\Flagged)").await;
    let responses = client
        .command(&format!(
            "STORE 1:2 (UNCHANGEDSINCE {since}) +FLAGS.SILENT (\\Deleted)"
        ))
        .await;
    assert!(
        responses.last().unwrap().starts_with("OK [MODIFIED 2]"),
        "{responses:?}"
    );
    assert!(
        responses[0].starts_with("* 1 FETCH (MODSEQ ("),
        "{responses:?}"
    );
}

#[tokio::test]
async fn expunge_tells_each_number_as_it_is_then() {
    let rig = Rig::new();
    let mut client = rig.alice_with(5).await;
    client.ok("STORE 1,3:4 +FLAGS.SILENT (\\Deleted)").await;
    assert_eq!(client.ok("UID EXPUNGE 4:9").await, ["* 4 EXPUNGE"]);
    assert_eq!(client.ok("EXPUNGE").await, ["* 3 EXPUNGE", "* 1 EXPUNGE"]);
    assert_eq!(
        client.ok("FETCH 1:* UID").await,
        ["* 1 FETCH (UID 2)", "* 2 FETCH (UID 5)"]
    );
}

#[tokio::test]
async fn close_expunges_in_silence_and_unselect_does_not() {
    let rig = Rig::new();
    let mut client = rig.alice_with(2).await;
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("UNSELECT").await;
    assert_eq!(
        client
            .ok("STATUS INBOX (MESSAGES DELETED DELETED-STORAGE)")
            .await,
        ["* STATUS INBOX (MESSAGES 2 DELETED 1 DELETED-STORAGE 40)"]
    );
    client.ok("SELECT INBOX").await;
    assert_eq!(client.ok("CLOSE").await, [""; 0]);
    assert_eq!(
        client.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS INBOX (MESSAGES 1)"]
    );
}

#[tokio::test]
async fn copy_and_move_tell_both_uids() {
    let rig = Rig::new();
    let mut client = rig.alice_with(4).await;
    let reply = client.reply("COPY 2:3 Trash").await;
    assert!(
        reply.starts_with("OK [COPYUID ") && reply.contains(" 2:3 1:2] "),
        "{reply}"
    );
    let responses = client.command("UID MOVE 1,4 Trash").await;
    assert!(responses[0].starts_with("* OK [COPYUID "), "{responses:?}");
    assert!(responses[0].contains(" 1,4 3:4] "), "{responses:?}");
    assert_eq!(responses[1..3], ["* 4 EXPUNGE", "* 1 EXPUNGE"]);
    assert!(
        client
            .reply("COPY 1 Nowhere")
            .await
            .starts_with("NO [TRYCREATE]")
    );
    assert!(
        client
            .reply("MOVE 1 Nowhere")
            .await
            .starts_with("NO [TRYCREATE]")
    );
    assert!(client.reply("UID COPY 99 Trash").await.starts_with("OK"));
    client.ok("SELECT Trash").await;
    let subjects = client
        .ok("FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")
        .await
        .concat();
    let order: Vec<_> = subjects
        .match_indices("Subject: m")
        .map(|(at, _)| &subjects[at + 10..at + 11])
        .collect();
    assert_eq!(order, ["2", "3", "1", "4"]);
}

/// RFC 6851 §3.3 allows it where COPY to the same mailbox is allowed; it was refused.
#[tokio::test]
async fn move_to_the_same_mailbox_gives_new_uids() {
    let rig = Rig::new();
    let mut client = rig.alice_with(3).await;
    client.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    let told = client.ok("MOVE 1:2 INBOX").await;
    assert!(
        told[0].starts_with("* OK [COPYUID ") && told[0].contains(" 1:2 4:5]"),
        "{told:?}"
    );
    assert_eq!(told[1..4], ["* 2 EXPUNGE", "* 1 EXPUNGE", "* 3 EXISTS"]);
    assert_eq!(
        client.ok("FETCH 1:* (UID BODY.PEEK[TEXT])").await,
        [
            "* 1 FETCH (UID 3 BODY[TEXT] {8}\r\nbody 3\r\n)",
            "* 2 FETCH (UID 4 BODY[TEXT] {8}\r\nbody 1\r\n)",
            "* 3 FETCH (UID 5 BODY[TEXT] {8}\r\nbody 2\r\n)"
        ]
    );
    assert_eq!(client.ok("SEARCH FLAGGED").await, ["* SEARCH 2"]);
    let status = client.ok("STATUS INBOX (MESSAGES UIDNEXT)").await;
    assert_eq!(status, ["* STATUS INBOX (MESSAGES 3 UIDNEXT 6)"]);
}
