use facteur_session_imap::Options;

use crate::rig::Rig;

#[tokio::test]
async fn capabilities_change_with_login() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    let before = client.ok("CAPABILITY").await.concat();
    assert!(
        before.contains(" AUTH=PLAIN") && before.contains(" SASL-IR"),
        "{before}"
    );
    assert!(
        !before.contains("MOVE") && !before.contains("LOGINDISABLED"),
        "{before}"
    );
    let reply = client.reply("LOGIN alice@x.test secret").await;
    for capability in [
        "IMAP4rev1",
        "LITERAL+",
        "SASL-IR",
        "ID",
        "ENABLE",
        "IDLE",
        "NAMESPACE",
        "CHILDREN",
        "SPECIAL-USE",
        "UIDPLUS",
        "UNSELECT",
        "MOVE",
        "CONDSTORE",
        "QUOTA",
        "STATUS=SIZE",
        "WITHIN",
        "APPENDLIMIT=52428800",
    ] {
        assert!(
            reply.contains(&format!(" {capability}")),
            "{capability}: {reply}"
        );
    }
    assert!(!reply.contains("AUTH="), "{reply}");
}

#[tokio::test]
async fn password_in_clear_is_refused() {
    let rig = Rig::new();
    let mut client = rig.connect_to(false).await;
    let capabilities = client.ok("CAPABILITY").await.concat();
    assert!(capabilities.contains(" LOGINDISABLED") && !capabilities.contains("AUTH="));
    let reply = client.reply("LOGIN alice@x.test secret").await;
    assert!(reply.starts_with("NO [PRIVACYREQUIRED]"), "{reply}");
    let reply = client.reply("AUTHENTICATE PLAIN").await;
    assert!(reply.starts_with("NO [PRIVACYREQUIRED]"), "{reply}");
}

#[tokio::test]
async fn wrong_password_and_unknown_user_are_told_alike() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    let wrong = client.reply("LOGIN alice@x.test wrong").await;
    assert!(wrong.starts_with("NO [AUTHENTICATIONFAILED]"), "{wrong}");
    assert_eq!(client.reply("LOGIN nobody@x.test secret").await, wrong);
    client
        .ok("LOGIN {12+}\r\nalice@x.test {6+}\r\nsecret")
        .await;
    assert!(
        client
            .reply("LOGIN alice@x.test secret")
            .await
            .starts_with("BAD")
    );
}

#[tokio::test]
async fn authenticate_takes_a_response_at_once_or_when_asked() {
    let rig = Rig::new();
    // "\0alice@x.test\0secret"
    let response = "AGFsaWNlQHgudGVzdABzZWNyZXQ=";
    let mut client = rig.connect().await;
    client.ok(&format!("AUTHENTICATE PLAIN {response}")).await;

    let mut client = rig.connect().await;
    let tag = client.start("AUTHENTICATE plain").await;
    assert_eq!(client.response().await, "+ ");
    client.send(format!("{response}\r\n").as_bytes()).await;
    assert!(client.finish(&tag).await[0].starts_with("OK [CAPABILITY"));

    let mut client = rig.connect().await;
    let tag = client.start("AUTHENTICATE LOGIN").await;
    assert_eq!(client.response().await, "+ VXNlcm5hbWU6");
    client.send(b"YWxpY2VAeC50ZXN0\r\n").await;
    assert_eq!(client.response().await, "+ UGFzc3dvcmQ6");
    client.send(b"c2VjcmV0\r\n").await;
    assert!(client.finish(&tag).await[0].starts_with("OK"));
}

#[tokio::test]
async fn authenticate_can_be_cancelled() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    let tag = client.start("AUTHENTICATE PLAIN").await;
    client.response().await;
    client.send(b"*\r\n").await;
    assert!(client.finish(&tag).await[0].starts_with("BAD"));
    assert!(
        client
            .reply("AUTHENTICATE PLAIN !!!")
            .await
            .starts_with("BAD")
    );
    assert!(client.reply("AUTHENTICATE X-NONE").await.starts_with("NO"));
    client.ok("LOGIN alice@x.test secret").await;
}

#[tokio::test]
async fn connections_of_a_user_are_limited() {
    let rig = Rig::with(Options {
        mail_max_userip_connections: 2,
        ..Options::default()
    });
    let first = rig.alice().await;
    let _second = rig.alice().await;
    let _other = rig.user("bob").await;
    let mut third = rig.connect().await;
    let reply = third.reply("LOGIN alice@x.test secret").await;
    assert!(reply.starts_with("NO [LIMIT]"), "{reply}");
    drop(first);
    // The slot is free when the server has seen the end.
    while !third
        .reply("LOGIN alice@x.test secret")
        .await
        .starts_with("OK")
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn logout_says_bye_first() {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let responses = client.command("LOGOUT").await;
    assert!(
        responses[0].starts_with("* BYE") && responses[1].starts_with("OK"),
        "{responses:?}"
    );
    assert_eq!(client.try_response().await, None);
}

#[tokio::test]
async fn stopping_server_says_bye_to_waiting_and_idle_clients() {
    let rig = Rig::new();
    let mut waiting = rig.alice().await;
    let mut idle = rig.alice().await;
    idle.ok("SELECT INBOX").await;
    idle.begin_idle().await;
    rig.stop.cancel();
    for client in [&mut waiting, &mut idle] {
        assert!(client.response().await.starts_with("* BYE"));
        assert_eq!(client.try_response().await, None);
    }
}

#[tokio::test]
async fn commands_in_the_wrong_state_are_bad() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    for command in [
        "SELECT INBOX",
        "LIST \"\" *",
        "FETCH 1 FLAGS",
        "IDLE",
        "NAMESPACE",
    ] {
        assert!(client.reply(command).await.starts_with("BAD"), "{command}");
    }
    assert!(
        client
            .try_append("INBOX", "", b"x")
            .await
            .starts_with("BAD")
    );
    client.ok("LOGIN alice@x.test secret").await;
    for command in [
        "FETCH 1 FLAGS",
        "CLOSE",
        "EXPUNGE",
        "SEARCH ALL",
        "STARTTLS",
        "UNSELECT",
    ] {
        assert!(client.reply(command).await.starts_with("BAD"), "{command}");
    }
}

#[tokio::test]
async fn id_namespace_and_enable_answer() {
    let rig = Rig::new();
    let mut client = rig.connect().await;
    assert_eq!(
        client.ok("ID (\"name\" \"x\" \"version\" NIL)").await,
        ["* ID (\"name\" \"Facteur\")"]
    );
    client.ok("LOGIN alice@x.test secret").await;
    assert_eq!(
        client.ok("NAMESPACE").await,
        ["* NAMESPACE ((\"\" \"/\")) NIL NIL"]
    );
    assert_eq!(
        client.ok("ENABLE condstore X-NONE").await,
        ["* ENABLED CONDSTORE"]
    );
    assert_eq!(client.ok("ENABLE X-NONE").await, ["* ENABLED"]);
}
