//! What no client should send.

use facteur_session_imap::Options;

use crate::rig::Rig;

#[tokio::test]
async fn nonsense_is_bad_and_the_session_goes_on() {
    let rig = Rig::new();
    let mut client = rig.alice_with(1).await;
    for line in [
        &b"t NONSENSE\r\n"[..],
        b"t FETCH\r\n",
        b"t FETCH 1 (BODY[\r\n",
        b"t SELECT \"INBOX\r\n",
        b"t SELECT IN\0BOX\r\n",
        b"t LIST \"\" \"\xff\xfe\r\n",
        b"t SEARCH TEXT \"\xc3\x28\0\"\r\n",
        b"t STORE 1 FLAGS \\Seen\\\r\n",
        b"t UID\r\n",
    ] {
        client.send(line).await;
        let reply = client.response().await;
        assert!(reply.starts_with("t BAD "), "{line:?}: {reply}");
        client.ok("NOOP").await;
    }
    for line in [
        &b"\xff\xfe\xfd\r\n"[..],
        b"NOOP\r\n",
        b" \r\n",
        b"+ NOOP\r\n",
    ] {
        client.send(line).await;
        let reply = client.response().await;
        assert!(reply.starts_with("* BAD "), "{line:?}: {reply}");
        client.ok("NOOP").await;
    }
}

#[tokio::test]
async fn endless_nonsense_ends_the_connection() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    client.send(&b"x y\r\n".repeat(100)).await;
    let mut last = String::new();
    while let Some(response) = client.try_response().await {
        last = response;
    }
    assert!(last.starts_with("* BYE"), "{last}");
}

#[tokio::test]
async fn overlong_line_is_bad_and_an_endless_one_ends_the_connection() {
    let rig = Rig::with(Options {
        max_line_length: 1000,
        ..Options::default()
    });
    let mut client = rig.alice().await;
    let reply = client.reply(&format!("SELECT {}", "x".repeat(2000))).await;
    assert!(reply.starts_with("BAD"), "{reply}");
    client.ok("NOOP").await;
    let tag = client.start("SELECT {100000}").await;
    assert!(client.finish(&tag).await[0].starts_with("BAD"));
    client.ok("NOOP").await;
    client.send(b"y SELECT ").await;
    assert!(client.send_until_closed(&[b'x'; 65536]).await < 100);
}

#[tokio::test]
async fn half_a_command_before_the_end_does_nothing() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.send(b"a APPEND INBOX {100+}\r\nSubject: half").await;
    drop(client);
    let mut client = rig.alice().await;
    client.send(b"b CREATE never").await;
    drop(client);
    let mut client = rig.alice().await;
    assert_eq!(
        client.ok("STATUS INBOX (MESSAGES)").await,
        ["* STATUS INBOX (MESSAGES 0)"]
    );
    assert_eq!(client.ok("LIST \"\" never").await, [""; 0]);
}

#[tokio::test]
async fn malformed_mime_is_served_all_the_same() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let mut nested = b"Subject: deep\r\n".to_vec();
    for depth in 0..1000 {
        nested.extend_from_slice(
            format!("Content-Type: multipart/mixed; boundary=b{depth}\r\n\r\n--b{depth}\r\n")
                .as_bytes(),
        );
    }
    for message in [
        &nested[..],
        b"\r\n\r\n",
        b"no header at all",
        b": \r\n: \r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\n--\r\n",
        b"From: =?x?y?z?= <<<@@>>>\r\nSubject: \xff\r\nDate: never\r\n\r\n\x80",
    ] {
        client.append("INBOX", "", message).await;
    }
    client.ok("SELECT INBOX").await;
    let all = "(ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1.1.1] BODY.PEEK[TEXT])";
    assert_eq!(client.ok(&format!("FETCH 1:* {all}")).await.len(), 6);
    client
        .ok("SEARCH OR FROM x OR SENTON 1-Jan-2020 TEXT \"nowhere to be found\"")
        .await;
}
