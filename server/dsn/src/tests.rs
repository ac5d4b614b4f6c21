use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::*;

const ORIGINAL: &[u8] = b"From: a@example.org\r\nMessage-ID: <1@example.org>\r\n\
    Subject: hello\r\n\r\nbody\r\n";

fn recipient<'a>(action: Action, status: &'a str) -> RecipientReport<'a> {
    RecipientReport {
        final_recipient: "bob@example.net",
        original_recipient: Some("team@example.net"),
        action,
        status,
        remote_mta: Some("mx.example.net"),
        diagnostic: Some(Diagnostic::Smtp("550 5.1.1 No such user")),
        last_attempt_at: Some(1_700_000_000),
        retry_until: Some(1_700_400_000),
        reason: None,
    }
}

fn compose(recipients: &[RecipientReport<'_>], original: Original<'_>) -> Vec<u8> {
    Report {
        reporting_mta: &Domain::parse("mail.example.com").unwrap(),
        from: &Address::parse("MAILER-DAEMON@mail.example.com").unwrap(),
        to: &Address::parse("a@example.org").unwrap(),
        id: "01ABCDEFGHJKMNPQR",
        about: "01ZZZZZZZZZZZZZZZ",
        arrived_at: 1_699_990_000,
        received_from: Some("client.example.org"),
        now: 1_700_000_001,
        recipients,
        original,
    }
    .compose()
}

fn part(notice: &[u8], index: usize) -> String {
    let message = MessageParser::default().parse(notice).unwrap();
    let children = match &message.parts[0].body {
        PartType::Multipart(children) => children.clone(),
        other => panic!("not a multipart: {other:?}"),
    };
    let part = &message.parts[children[index] as usize];
    let raw =
        &message.raw_message()[part.raw_body_offset() as usize..part.raw_end_offset() as usize];
    String::from_utf8_lossy(raw).into_owned()
}

#[test]
fn failed_report_is_a_multipart_report_with_its_three_parts() {
    let notice = compose(
        &[recipient(Action::Failed, "5.1.1")],
        Original::Header(ORIGINAL),
    );
    let message = MessageParser::default().parse(&notice).unwrap();
    let kind = message.content_type().unwrap();
    assert_eq!(
        (kind.ctype(), kind.subtype()),
        ("multipart", Some("report"))
    );
    assert_eq!(kind.attribute("report-type"), Some("delivery-status"));
    assert_eq!(
        message.header_raw("Auto-Submitted").unwrap().trim(),
        "auto-replied"
    );
    assert_eq!(
        message.header_raw("In-Reply-To").unwrap().trim(),
        "<1@example.org>"
    );
    assert!(part(&notice, 0).contains("550 5.1.1 No such user"));
    assert_eq!(
        part(&notice, 2),
        "From: a@example.org\r\nMessage-ID: <1@example.org>\r\nSubject: hello\r\n"
    );
    let subtypes: Vec<_> = [1, 2]
        .map(|n| {
            message.parts[n + 1]
                .content_type()
                .unwrap()
                .subtype()
                .unwrap()
                .to_owned()
        })
        .into();
    assert_eq!(subtypes, ["delivery-status", "rfc822-headers"]);
}

#[test]
fn status_part_has_the_fields_of_rfc3464() {
    let notice = compose(
        &[recipient(Action::Failed, "5.1.1")],
        Original::Header(ORIGINAL),
    );
    assert_eq!(
        part(&notice, 1),
        "Reporting-MTA: dns; mail.example.com\r\n\
         X-Facteur-Queue-ID: 01ZZZZZZZZZZZZZZZ\r\n\
         Received-From-MTA: dns; client.example.org\r\n\
         Arrival-Date: Tue, 14 Nov 2023 19:26:40 +0000\r\n\
         \r\n\
         Original-Recipient: rfc822; team@example.net\r\n\
         Final-Recipient: rfc822; bob@example.net\r\n\
         Action: failed\r\n\
         Status: 5.1.1\r\n\
         Remote-MTA: dns; mx.example.net\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\
         Last-Attempt-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    );
}

#[test]
fn will_retry_until_is_told_only_for_delayed() {
    let notice = compose(
        &[recipient(Action::Delayed, "4.4.1")],
        Original::Header(ORIGINAL),
    );
    assert!(part(&notice, 1).contains("Will-Retry-Until: Sun, 19 Nov 2023 13:20:00 +0000\r\n"));
    assert!(String::from_utf8_lossy(&notice).contains("Subject: Your message is delayed\r\n"));
}

#[test]
fn peers_text_cannot_add_a_field_or_a_part() {
    let mut bad = recipient(Action::Failed, "5.0.0");
    bad.diagnostic = Some(Diagnostic::Smtp(
        "550 x\r\nAction: delivered\r\n\r\n--end\u{e9}",
    ));
    bad.remote_mta = Some("mx\r\nStatus: 2.0.0");
    let notice = compose(&[bad], Original::Header(ORIGINAL));
    let status = part(&notice, 1);
    assert_eq!(status.matches("\r\nAction:").count(), 1);
    assert_eq!(status.matches("\r\nStatus:").count(), 1);
    assert!(status.contains("550 x Action: delivered --end?"));
}

#[test]
fn rejection_reason_in_utf8_is_readable() {
    let mut rejected = recipient(Action::Failed, "5.7.1");
    rejected.reason = Some("Je ne lis plus cette adresse, désolé.\nÉcrivez ailleurs.");
    let notice = compose(&[rejected], Original::Header(ORIGINAL));
    let message = MessageParser::default().parse(&notice).unwrap();
    assert_eq!(message.subject(), Some("Your message was refused"));
    let text = message.body_text(0).unwrap();
    assert!(
        text.contains("désolé.") && text.contains("Écrivez ailleurs."),
        "{text}"
    );
}

#[test]
fn original_message_comes_back_whole_and_boundary_avoids_it() {
    let original = b"Subject: x\r\n\r\n--01ABCDEFGHJKMNPQR.1700000001/report--\r\n\xe9\r\n";
    let notice = compose(
        &[recipient(Action::Failed, "5.1.1")],
        Original::Message(original),
    );
    let message = MessageParser::default().parse(&notice).unwrap();
    assert_eq!(message.parts.len(), 4);
    assert!(
        notice
            .windows(original.len())
            .any(|window| window == original)
    );
    assert!(String::from_utf8_lossy(&notice).contains("Content-Transfer-Encoding: 8bit\r\n"));
}

#[test]
fn long_header_is_cut_at_a_line_and_long_texts_fold() {
    let header = "X-Line: 0123456789\r\n".repeat(20_000);
    let mut long = recipient(Action::Failed, "5.0.0");
    let words = "word ".repeat(500);
    long.diagnostic = Some(Diagnostic::Smtp(&words));
    let notice = compose(&[long], Original::Header(header.as_bytes()));
    assert!(notice.len() < Report::MAX_HEADER + 10_000);
    assert!(part(&notice, 2).ends_with("0123456789\r\n"));
    assert!(part(&notice, 1).lines().all(|line| line.len() <= 78));
}

#[test]
fn utf8_address_is_written_in_ascii() {
    let mut utf8 = recipient(Action::Failed, "5.1.1");
    utf8.final_recipient = "josé@example.net";
    let notice = compose(&[utf8], Original::Header(ORIGINAL));
    assert!(part(&notice, 1).contains("Final-Recipient: utf-8; jos\\x{E9}@example.net\r\n"));
}
