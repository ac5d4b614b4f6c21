//! Sessions on one mailbox see each other's changes.

use std::time::Duration;

use facteur_session_imap::Options;

use crate::rig::Rig;

#[tokio::test]
async fn idle_is_told_at_once() {
    let rig = Rig::new();
    let mut watcher = rig.alice_with(1).await;
    let mut other = rig.alice().await;
    let tag = watcher.begin_idle().await;
    other.append("INBOX", "", b"A: b\r\n").await;
    assert_eq!(watcher.response().await, "* 2 EXISTS");
    assert_eq!(watcher.response().await, "* 2 RECENT");
    other.ok("SELECT INBOX").await;
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    let flags = watcher.response().await;
    assert!(
        flags.starts_with("* 1 FETCH (UID 1 FLAGS (\\Deleted \\Recent)"),
        "{flags}"
    );
    other.ok("EXPUNGE").await;
    assert_eq!(watcher.response().await, "* 1 EXPUNGE");
    watcher.send(b"done\r\n").await;
    assert!(watcher.finish(&tag).await[0].starts_with("OK"));
}

#[tokio::test]
async fn idle_ends_with_done_only() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let tag = client.begin_idle().await;
    client.send(b"NOOP\r\n").await;
    assert!(client.finish(&tag).await[0].starts_with("BAD"));
    // DONE and the next command may come with IDLE itself.
    client.send(b"a IDLE\r\nDONE\r\nb NOOP\r\n").await;
    assert_eq!(client.response().await, "+ idling");
    assert!(client.response().await.starts_with("a OK"));
    assert!(client.response().await.starts_with("b OK"));
}

/// The client was logged out after 30 minutes of IDLE, though it was there.
#[tokio::test]
async fn idle_goes_on_while_the_client_takes_signs_of_life() {
    let rig = Rig::with(Options {
        idle_notify_interval: Duration::from_millis(20),
        autologout: Duration::from_millis(30),
        ..Options::default()
    });
    let mut client = rig.connect().await;
    client
        .send(b"a LOGIN alice@x.test secret\r\nb IDLE\r\n")
        .await;
    while client.response().await != "+ idling" {}
    for _ in 0..5 {
        assert_eq!(client.response().await, "* OK Still here");
    }
}

#[tokio::test]
async fn idle_without_an_interval_is_silent() {
    let rig = Rig::with(Options {
        idle_notify_interval: Duration::ZERO,
        ..Options::default()
    });
    let mut watcher = rig.alice_with(1).await;
    let mut other = rig.alice().await;
    watcher.begin_idle().await;
    other.append("INBOX", "", b"A: b\r\n").await;
    assert_eq!(watcher.response().await, "* 2 EXISTS");
}

#[tokio::test]
async fn changes_are_told_with_the_next_command() {
    let rig = Rig::new();
    let mut one = rig.alice_with(3).await;
    let mut two = rig.alice().await;
    two.ok("SELECT INBOX").await;
    one.ok("STORE 2 FLAGS (\\Flagged)").await;
    assert_eq!(
        two.ok("NOOP").await,
        ["* 2 FETCH (UID 2 FLAGS (\\Flagged))"]
    );
    assert_eq!(two.ok("NOOP").await, [""; 0]);
    assert_eq!(one.ok("NOOP").await, [""; 0]);
}

#[tokio::test]
async fn expunge_waits_while_numbers_are_in_use() {
    let rig = Rig::new();
    let mut one = rig.alice_with(3).await;
    let mut two = rig.alice().await;
    two.ok("SELECT INBOX").await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    assert_eq!(two.ok("FETCH 3 UID").await, ["* 3 FETCH (UID 3)"]);
    assert_eq!(two.ok("SEARCH UID 3").await, ["* SEARCH 3"]);
    // What was expunged cannot be read any more; the rest can.
    let responses = two.command("FETCH 1:2 BODY.PEEK[TEXT]").await;
    assert_eq!(responses[0], "* 2 FETCH (BODY[TEXT] {8}\r\nbody 2\r\n)");
    assert!(
        responses[1].starts_with("NO [EXPUNGEISSUED]"),
        "{responses:?}"
    );
    assert_eq!(
        two.ok("STORE 3 +FLAGS (\\Seen)").await,
        ["* 3 FETCH (FLAGS (\\Seen))"]
    );
    assert_eq!(
        two.ok("UID SEARCH ALL").await,
        ["* SEARCH 1 2 3", "* 1 EXPUNGE"]
    );
    assert_eq!(two.ok("FETCH 2 UID").await, ["* 2 FETCH (UID 3)"]);
}

/// The FETCH after the STORE had the flags of before it, and nothing corrected it later.
#[tokio::test]
async fn flags_are_fresh_while_an_expunge_waits() {
    let rig = Rig::new();
    let mut one = rig.alice_with(3).await;
    let mut two = rig.alice().await;
    two.ok("SELECT INBOX").await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Flagged work)").await;
    let told = two.ok("STORE 3 +FLAGS (\\Seen)").await;
    assert!(told.contains(&"* 3 FETCH (FLAGS (\\Seen))".to_owned()));
    // Another's change is told under the number that the client uses.
    assert!(
        told.contains(&"* 2 FETCH (UID 2 FLAGS (\\Flagged work))".to_owned()),
        "{told:?}"
    );
    assert_eq!(
        two.ok("FETCH 2:3 FLAGS").await,
        [
            "* 2 FETCH (FLAGS (\\Flagged work))",
            "* 3 FETCH (FLAGS (\\Seen))"
        ]
    );
    assert_eq!(two.ok("SEARCH SEEN").await, ["* SEARCH 3"]);
    assert_eq!(two.ok("NOOP").await, ["* 1 EXPUNGE"]);
    assert_eq!(two.ok("NOOP").await, [""; 0]);
}

#[tokio::test]
async fn silent_store_hides_own_change_but_not_anothers() {
    let rig = Rig::new();
    let mut one = rig.alice_with(2).await;
    let mut two = rig.alice().await;
    two.ok("SELECT INBOX").await;
    one.ok("STORE 1 +FLAGS.SILENT (\\Flagged)").await;
    assert_eq!(
        two.ok("STORE 1 +FLAGS.SILENT (\\Seen)").await,
        ["* 1 FETCH (UID 1 FLAGS (\\Flagged \\Seen))"]
    );
    assert_eq!(two.ok("STORE 2 +FLAGS.SILENT (\\Seen)").await, [""; 0]);
}

#[tokio::test]
async fn recent_is_told_to_one_session_only() {
    let rig = Rig::new();
    let mut one = rig.alice_with(2).await;
    assert_eq!(one.ok("SEARCH RECENT").await, ["* SEARCH 1 2"]);
    let mut two = rig.alice().await;
    assert!(
        two.ok("SELECT INBOX")
            .await
            .contains(&"* 0 RECENT".to_owned())
    );
    two.ok("CLOSE").await;
    two.append("INBOX", "", b"A: b\r\n").await;
    assert!(
        two.ok("EXAMINE INBOX")
            .await
            .contains(&"* 1 RECENT".to_owned())
    );
    assert_eq!(one.ok("NOOP").await, ["* 3 EXISTS", "* 3 RECENT"]);
}

#[tokio::test]
async fn deleted_mailbox_ends_the_sessions_that_have_it() {
    let rig = Rig::new();
    let mut one = rig.alice().await;
    one.ok("CREATE x").await;
    let mut two = rig.alice().await;
    two.ok("SELECT x").await;
    two.begin_idle().await;
    one.ok("SELECT x").await;
    one.ok("DELETE x").await;
    assert!(one.reply("FETCH 1:* FLAGS").await.starts_with("BAD"));
    assert!(two.response().await.starts_with("* BYE"));
}
