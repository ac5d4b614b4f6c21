use crate::rig::{Client, Rig};

async fn rig() -> (Rig, Client) {
    let rig = Rig::new();
    let mut client = rig.alice().await;
    let messages: [(&str, &[u8]); 4] = [
        (
            "(\\Seen) \"01-Jan-2020 23:30:00 +0000\"",
            b"From: Anna <anna@x.test>\r\nTo: bob@y.test\r\nSubject: =?utf-8?Q?Caf=C3=A9?=\r\n\
              Date: Tue, 31 Dec 2019 10:00:00 +0000\r\nX-Tag: one\r\n\r\nplain words\r\n",
        ),
        (
            "(\\Flagged $Work) \"02-Jan-2020 00:30:00 +0000\"",
            b"From: bob@y.test\r\nCc: Anna <anna@x.test>\r\nSubject: two\r\n\
              Date: Thu, 2 Jan 2020 23:00:00 -0500\r\n\
              Content-Type: text/plain; charset=iso-8859-1\r\n\
              Content-Transfer-Encoding: quoted-printable\r\n\r\nna=EFve w=\r\nords\r\n",
        ),
        (
            "(\\Deleted \\Draft) \"03-Jan-2020 00:00:00 +0000\"",
            b"From: c@z.test\r\nBcc: d@z.test\r\nSubject: three\r\n\
              Content-Transfer-Encoding: base64\r\n\r\naGlkZGVuIHRleHQ=\r\n",
        ),
        ("", b"Subject: four\r\n\r\nanother body, a bit longer than the others are: words and words\r\n"),
    ];
    for (arguments, message) in messages {
        client.append("INBOX", arguments, message).await;
    }
    client.ok("SELECT INBOX").await;
    (rig, client)
}

#[tokio::test]
async fn every_key_finds_what_it_should() {
    let (_rig, mut client) = rig().await;
    for (key, found) in [
        ("ALL", "1 2 3 4"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3 4"),
        ("KEYWORD $work", "2"),
        ("UNKEYWORD $Work", "1 3 4"),
        ("OR FLAGGED DRAFT", "2 3"),
        ("NOT (OR FLAGGED DRAFT)", "1 4"),
        ("NEW", "2 3 4"),
        ("OLD", ""),
        ("2:3 UNDELETED", "2"),
        ("UID 3:*", "3 4"),
        ("*", "4"),
        ("ON 1-Jan-2020", "1"),
        ("SINCE 2-Jan-2020 BEFORE 3-Jan-2020", "2"),
        ("SENTON 2-Jan-2020", "2"),
        ("SENTBEFORE 1-Jan-2020", "1"),
        ("YOUNGER 3600", "4"),
        ("OLDER 3600", "1 2 3"),
        ("LARGER 100 SMALLER 200", "1 3"),
        ("FROM anna", "1"),
        ("FROM \"Anna <anna@x\"", "1"),
        ("CC ANNA", "2"),
        ("TO bob BODY plain", "1"),
        ("BCC d@z", "3"),
        ("SUBJECT t", "2 3"),
        ("CHARSET UTF-8 SUBJECT {5+}\r\nCAF\u{c9}", "1"),
        ("CHARSET ISO-8859-1 BODY {5+}\r\nna\u{ef}ve", "2"),
        ("HEADER X-Tag \"\"", "1"),
        ("HEADER x-tag ONE", "1"),
        ("HEADER X-Tag two", ""),
        // Again, and with others: from the lines that the index keeps now.
        ("HEADER X-TAG one", "1"),
        ("OR HEADER X-Tag one HEADER Subject \"\"", "1 2 3 4"),
        ("HEADER X-Tag one BODY words", "1"),
        ("BODY words", "1 2 4"),
        ("BODY \"hidden text\"", "3"),
        ("BODY aGlkZGVu", ""),
        ("TEXT four", "4"),
        ("BODY four", ""),
        ("TEXT \"\"", "1 2 3 4"),
        ("NOT TEXT words", "3"),
        ("OR SEEN BODY hidden", "1 3"),
    ] {
        // The test's own strings are UTF-8 or Latin-1, as their charset says.
        let octets: Vec<u8> = match key.contains("ISO-8859-1") {
            true => key.chars().map(|c| u8::try_from(c).unwrap()).collect(),
            false => key.as_bytes().to_vec(),
        };
        client.send(b"x SEARCH ").await;
        client.send(&octets).await;
        client.send(b"\r\n").await;
        let response = client.response().await;
        let expected = match found {
            "" => "* SEARCH".to_owned(),
            found => format!("* SEARCH {found}"),
        };
        assert_eq!(response, expected, "{key}");
        assert!(client.response().await.starts_with("x OK"), "{key}");
    }
}

#[tokio::test]
async fn uid_search_and_modseq_tell_what_they_should() {
    let (_rig, mut client) = rig().await;
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    client.ok("UID EXPUNGE 1").await;
    assert_eq!(client.ok("UID SEARCH 1:2").await, ["* SEARCH 2 3"]);
    let found = client.ok("SEARCH MODSEQ 1").await;
    assert!(
        found
            .iter()
            .any(|line| line.starts_with("* SEARCH 1 2 3 (MODSEQ ")),
        "{found:?}"
    );
    assert_eq!(client.ok("SEARCH MODSEQ 999999999999").await, ["* SEARCH"]);
}

#[tokio::test]
async fn impossible_searches_are_refused() {
    let (_rig, mut client) = rig().await;
    assert!(
        client
            .reply("SEARCH CHARSET X-NONE TEXT a")
            .await
            .starts_with("NO [BADCHARSET (")
    );
    assert!(client.reply("SEARCH 9").await.starts_with("BAD"));
    assert!(client.reply("SEARCH FOO").await.starts_with("BAD"));
    let deep = format!("SEARCH {}SEEN", "NOT ".repeat(5000));
    assert!(client.reply(&deep).await.starts_with("BAD"));
    client
        .ok(&format!("SEARCH {}SEEN", "NOT ".repeat(200)))
        .await;
}
