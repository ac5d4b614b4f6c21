//! Modified UTF-7 (RFC 3501 §5.1.3): a name has one form, and it leads back to the name.
#![no_main]
use facteur_imap::{decode_utf7, encode_utf7};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && !text.chars().any(char::is_control)
    {
        assert_eq!(
            decode_utf7(encode_utf7(text).as_bytes()).as_deref(),
            Ok(text)
        );
    }
    if let Ok(name) = decode_utf7(data) {
        assert_eq!(encode_utf7(&name).as_bytes(), data);
    }
});
