//! Whole messages.

use crate::*;

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn plain_message_is_text_with_size_and_lines() {
    let scanned = scan(b"Subject: hi\r\n\r\none\r\ntwo\r\n");
    assert_eq!(
        text(&scanned.body_structure),
        r#"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 2 NIL NIL NIL NIL)"#
    );
    assert_eq!(
        text(&scanned.envelope),
        r#"(NIL "hi" NIL NIL NIL NIL NIL NIL NIL NIL)"#
    );
    assert_eq!(scanned.size, 25);
}
