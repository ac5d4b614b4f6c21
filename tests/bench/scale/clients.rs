//! How a mailbox is filled.

use facteur_tests::Imap;

pub(crate) const PASSWORD: &str = "pw";

/// A small message.
pub(crate) fn message(n: usize) -> String {
    format!(
        "From: Sender {n} <sender{n}@elsewhere.example>\r\nTo: reader@example.test\r\n\
         Subject: Message number {n}\r\nMessage-ID: <m{n}@elsewhere.example>\r\n\
         Date: Mon, 1 Mar 2021 12:00:00 +0000\r\n\r\nThis is message {n}.\r\n"
    )
}

/// A date for each of 1,000 days.
pub(crate) fn date(n: usize) -> String {
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let day = n % 1000;
    let (year, month, day) = (2018 + day / 336, day % 336 / 28, 1 + day % 28);
    format!("{day:02}-{}-{year}", months[month])
}

/// Fills INBOX up to `count` messages: up to 1,000 by APPEND, the others by COPY, which links.
pub(crate) fn fill(imap: &mut Imap, count: usize) {
    let appended = count.min(1000);
    for n in 0..appended {
        let text = message(n);
        let arguments = format!("INBOX \"{} 12:00:00 +0000\" {{{}+}}", date(n), text.len());
        let tag = imap.send(&format!("APPEND {arguments}\r\n{text}"));
        let response = imap.finish(&tag);
        assert!(response.is_ok(), "{response:?}");
    }
    imap.must("SELECT INBOX");
    let mut there = appended;
    while there < count {
        // In moderate steps: the response names every copy.
        let more = (count - there).min(there).min(20_000);
        let response = imap.must(&format!("COPY 1:{more} INBOX"));
        assert!(response.tagged.contains("COPYUID"), "{}", response.tagged);
        there += more;
    }
    imap.must("NOOP");
}
