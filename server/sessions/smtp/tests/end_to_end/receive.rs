//! Port 25.

use facteur_runtime::Protocol;
use facteur_spool::{Destination, RecipientState};

use crate::world::World;

const MESSAGE: &str = "From: x@else.example\r\nSubject: hello\r\n\r\nbody";

#[tokio::test]
async fn message_to_an_account_is_in_its_inbox_before_the_250() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client
        .begin("x@else.example", &["Alice+lists@here.example"])
        .await;
    let reply = client.data(MESSAGE, "250 2.0.0 Ok: queued as ").await;
    let queue_id = reply.rsplit(' ').next().unwrap();
    let messages = world.messages("alice", "INBOX");
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    assert!(
        message.ends_with("Subject: hello\r\n\r\nbody\r\n"),
        "{message}"
    );
    let received = format!(
        "Received: from client.example ([192.0.2.1])\r\n\tby mx.here.example (Facteur) with ESMTP id \
         {queue_id}\r\n\tfor <Alice+lists@here.example>; "
    );
    assert!(message.contains(&received), "{message}");
    assert!(
        message.contains("Return-Path: <x@else.example>\r\n"),
        "{message}"
    );
    assert!(world.spooled().is_empty());
    client.say("QUIT", "221 2.0.0").await;
    client.end().await;
}

/// As Postfix's local_header_rewrite_clients: a printer's mail is completed, a stranger's is not.
#[tokio::test]
async fn mail_of_known_networks_is_made_complete() {
    let world = World::new();
    for (peer, added) in [("127.0.0.1:4242", true), ("192.0.2.1:4242", false)] {
        let mut client = world.connect_from(Protocol::Smtp, peer).await;
        client
            .begin("x@else.example", &["alice@here.example"])
            .await;
        let text = format!("Bcc: secret@else.example,\r\n another@else.example\r\n{MESSAGE}");
        client.data(&text, "250").await;
        let messages = world.messages("alice", "INBOX");
        let message = messages.last().unwrap();
        assert_eq!(
            message.contains("another@else.example"),
            !added,
            "{message}"
        );
        assert_eq!(message.contains("\r\nDate: "), added, "{message}");
        assert_eq!(message.contains("\r\nMessage-ID: <"), added, "{message}");
    }
}

#[tokio::test]
async fn alias_and_double_recipients_get_one_copy_each() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    let to = [
        "sales@here.example",
        "alice@here.example",
        "bob@here.example",
    ];
    client.begin("", &to).await;
    client.data(MESSAGE, "250").await;
    for name in ["alice", "bob", "carol"] {
        let messages = world.messages(name, "INBOX");
        assert_eq!(messages.len(), 1, "{name}");
        assert!(!messages[0].contains("\tfor <"));
    }
}

#[tokio::test]
async fn recipients_are_judged_at_rcpt() {
    let mut world = World::new();
    world.intake.quota_full_tempfail = false;
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("x@else.example", &[]).await;
    client
        .say("RCPT TO:<nobody@here.example>", "550 5.1.1")
        .await;
    client.say("RCPT TO:<full@here.example>", "250").await;
    client.say("RSET", "250").await;
    client
        .say("MAIL FROM:<x@else.example> SIZE=11", "250")
        .await;
    client.say("RCPT TO:<full@here.example>", "552 5.2.2").await;
    client.say("RCPT TO:<y@else.example>", "554 5.7.1").await;
    client.say("RCPT TO:<y@backup.example>", "250").await;
    world.directory_goes_down();
    client
        .say("RCPT TO:<alice@here.example>", "451 4.3.0")
        .await;
}

#[tokio::test]
async fn full_mailbox_is_temporary_when_so_configured() {
    let mut world = World::new();
    world.intake.quota_full_tempfail = true;
    let mut client = world.connect(Protocol::Smtp).await;
    client.say("EHLO c", "250").await;
    client
        .say("MAIL FROM:<x@else.example> SIZE=11", "250")
        .await;
    client.say("RCPT TO:<full@here.example>", "452 4.2.2").await;
}

#[tokio::test]
async fn relay_is_for_known_networks_and_goes_to_the_spool_in_one_entry() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Smtp, "127.0.0.1:4242").await;
    let to = ["y@else.example", "z@third.example", "alice@here.example"];
    client.begin("bob@here.example", &to).await;
    client.data(MESSAGE, "250").await;
    let spooled = world.spooled();
    assert_eq!(spooled.len(), 1);
    let (entry, body) = &spooled[0];
    assert_eq!(entry.reverse_path, "bob@here.example");
    assert_eq!(entry.origin.client, "127.0.0.1");
    assert!(entry.prefix.starts_with("Received: "));
    assert_eq!(body, &format!("{MESSAGE}\r\n"));
    let to: Vec<_> = entry
        .recipients
        .iter()
        .map(|r| r.forward_path.as_str())
        .collect();
    assert_eq!(to, ["y@else.example", "z@third.example"]);
    for recipient in &entry.recipients {
        assert_eq!(recipient.destination, Destination::Remote);
        assert_eq!(recipient.state, RecipientState::Pending { last: None });
    }
    assert_eq!(world.messages("alice", "INBOX").len(), 1);
}

#[tokio::test]
async fn postmaster_is_reached_without_a_domain_and_in_ours() {
    let mut world = World::new();
    world.postmaster = Some("carol@here.example".parse_address());
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("", &["Postmaster"]).await;
    client.data(MESSAGE, "250").await;
    client.begin("", &["postmaster@here.example"]).await;
    client.data(MESSAGE, "250").await;
    client.say("MAIL FROM:<>", "250").await;
    client
        .say("RCPT TO:<postmaster@else.example>", "554 5.7.1")
        .await;
    assert_eq!(world.messages("carol", "INBOX").len(), 2);
}

#[tokio::test]
async fn message_that_goes_in_circles_is_refused() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("", &["alice@here.example"]).await;
    let hops = "Received: from somewhere\r\n".repeat(51);
    client.data(&format!("{hops}{MESSAGE}"), "554 5.4.6").await;
    assert!(world.messages("alice", "INBOX").is_empty());
}

#[tokio::test]
async fn smuggled_message_never_exists() {
    let world = World::new();
    let mut client = world.connect_from(Protocol::Smtp, "127.0.0.1:4242").await;
    client.begin("", &["alice@here.example"]).await;
    client.say("DATA", "354").await;
    client
        .send("x\r\n.\nMAIL FROM:<evil@here.example>\r\nRCPT TO:<bob@here.example>\r\nDATA\r\ny\r\n.\r\n")
        .await;
    assert!(client.reply().await.starts_with("550 5.6.0"));
    client.end().await;
    assert!(world.messages("alice", "INBOX").is_empty());
    assert!(world.messages("bob", "INBOX").is_empty());
}

#[tokio::test]
async fn pipelined_group_is_answered_in_one_write() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client.say("EHLO c", "250").await;
    client
        .send(
            "MAIL FROM:<>\r\nRCPT TO:<alice@here.example>\r\nRCPT TO:<no@here.example>\r\nDATA\r\n",
        )
        .await;
    let mut buffer = vec![0; 4096];
    let octets = tokio::io::AsyncReadExt::read(&mut client.stream, &mut buffer)
        .await
        .unwrap();
    let replies = String::from_utf8(buffer[..octets].to_vec()).unwrap();
    let codes: Vec<_> = replies.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["250", "250", "550", "354"]);
    client.say("x\r\n.", "250").await;
}

#[tokio::test]
async fn client_that_does_not_wait_for_354_is_cut_off() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("", &["alice@here.example"]).await;
    client.send("DATA\r\nQUIT\r\nx\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("503 5.5.0"));
    client.end().await;
}

#[tokio::test]
async fn chunked_message_larger_than_memory_arrives_whole() {
    let world = World::new();
    let mut client = world.connect(Protocol::Smtp).await;
    client
        .begin("x@else.example", &["alice@here.example"])
        .await;
    let line = format!("{}\r\n", "0123456789".repeat(7));
    let text = format!("Subject: large\r\n\r\n{}", line.repeat(10_000));
    for chunk in text.as_bytes().chunks(100_000) {
        client.send(&format!("BDAT {}\r\n", chunk.len())).await;
        client.send(std::str::from_utf8(chunk).unwrap()).await;
        assert!(client.reply().await.starts_with("250"));
    }
    client.say("BDAT 0 LAST", "250").await;
    let messages = world.messages("alice", "INBOX");
    assert!(messages[0].ends_with(&text));
}

trait ParseAddress {
    fn parse_address(&self) -> facteur_address::Address;
}

impl ParseAddress for str {
    fn parse_address(&self) -> facteur_address::Address {
        facteur_address::Address::parse(self).unwrap()
    }
}

#[tokio::test]
async fn listener_may_have_restrictions_of_its_own() {
    use facteur_intake::{Restriction as R, Restrictions};
    let mut world = World::new();
    let own = Restrictions {
        client: vec![R::PermitMynetworks, R::Reject],
        helo: vec![R::RejectNonFqdnHeloHostname],
        sender: vec![R::RejectNonFqdnSender],
        recipient: vec![R::Permit],
        ..Restrictions::smtp()
    };
    world
        .intake
        .listener_restrictions
        .insert("test".to_owned(), own);
    let mut stranger = world.connect(Protocol::Smtp).await;
    stranger.begin("x@else.example", &[]).await;
    stranger
        .say("RCPT TO:<alice@here.example>", "554 5.7.1 Access denied")
        .await;
    let mut known = world.connect_from(Protocol::Smtp, "127.0.0.1:4242").await;
    known.say("EHLO laptop", "250").await;
    known.say("MAIL FROM:<x@else.example>", "250").await;
    known
        .say("RCPT TO:<alice@here.example>", "504 5.5.2 Helo")
        .await;
    known.say("EHLO laptop.else.example", "250").await;
    known.say("MAIL FROM:<x@else>", "250").await;
    known
        .say("RCPT TO:<alice@here.example>", "504 5.5.2 Sender")
        .await;
    known.say("RSET", "250").await;
    known.say("MAIL FROM:<x@else.example>", "250").await;
    known.say("RCPT TO:<alice@here.example>", "250").await;
}

#[tokio::test]
async fn permissive_recipient_list_opens_no_relay() {
    use facteur_intake::{Restriction, Restrictions};
    let mut world = World::new();
    let own = Restrictions {
        recipient: vec![Restriction::Permit],
        ..Restrictions::smtp()
    };
    world
        .intake
        .listener_restrictions
        .insert("test".to_owned(), own);
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("x@else.example", &[]).await;
    client
        .say("RCPT TO:<y@else.example>", "554 5.7.1 Relay")
        .await;
}

#[tokio::test]
async fn disk_that_fails_is_a_temporary_refusal_and_the_session_goes_on() {
    let world = World::new();
    // A file where the account's folder should be.
    std::fs::write(world.dir.path().join("alice@here.example"), "").unwrap();
    let mut client = world.connect(Protocol::Smtp).await;
    client.begin("x@else.example", &["bob@here.example"]).await;
    client.say("RCPT TO:<alice@here.example>", "250").await;
    // Alice's copy waits in the spool; Bob has his.
    client.data(MESSAGE, "250").await;
    assert_eq!(world.messages("bob", "INBOX").len(), 1);
    let (entry, _) = world.spooled().remove(0);
    assert_eq!(entry.recipients.len(), 1);
    assert_eq!(entry.recipients[0].forward_path, "alice@here.example");
    assert_eq!(
        entry.recipients[0].destination,
        Destination::Account { detail: None }
    );
}
