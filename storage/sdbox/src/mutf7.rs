//! Modified UTF-7 (RFC 3501 §5.1.3): how folder names are spelled on disk, as Dovecot does.

/// The 64 digits: base64 with `,` for `/`.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Encodes a name.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 8);
    let mut shifted: Vec<u16> = Vec::new();
    for c in name.chars() {
        if matches!(c, ' '..='~') {
            flush(&mut shifted, &mut out);
            out.push(c);
            if c == '&' {
                out.push('-');
            }
        } else {
            shifted.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
    flush(&mut shifted, &mut out);
    out
}

fn flush(units: &mut Vec<u16>, out: &mut String) {
    if units.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut count) = (0u32, 0u32);
    for unit in units.drain(..) {
        bits = (bits << 16) | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(digit(bits >> count));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(digit(bits << (6 - count)));
    }
    out.push('-');
}

fn digit(value: u32) -> char {
    DIGITS
        .get((value & 63) as usize)
        .map_or('A', |digit| char::from(*digit))
}

/// Decodes a name; `None` for what [`encode`] would not have written, so that no two names on disk
/// are one folder.
pub fn decode(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('&') {
        let (plain, shifted) = rest.split_at(at);
        out.push_str(plain);
        let (code, after) = shifted.get(1..)?.split_once('-')?;
        if code.is_empty() {
            out.push('&');
        } else {
            decode_shifted(code, &mut out)?;
        }
        rest = after;
    }
    out.push_str(rest);
    (encode(&out) == name).then_some(out)
}

fn decode_shifted(code: &str, out: &mut String) -> Option<()> {
    let (mut bits, mut count) = (0u32, 0u32);
    let mut units = Vec::new();
    for byte in code.bytes() {
        let value = DIGITS.iter().position(|digit| *digit == byte)?;
        bits = (bits << 6) | u32::try_from(value).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from((bits >> count) & 0xffff).ok()?);
            bits &= (1 << count) - 1;
        }
    }
    out.push_str(&String::from_utf16(&units).ok()?);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc3501_5_1_3_example() {
        assert_eq!(
            encode("~peter/mail/台北/日本語"),
            "~peter/mail/&U,BTFw-/&ZeVnLIqe-"
        );
    }

    #[test]
    fn names_that_encode_would_not_write_are_refused() {
        for bad in [
            "&",
            "&a",
            "&AGE-",
            "&AMk-&AOk-",
            "é",
            "&AMk",
            "&A-",
            "\u{1}",
        ] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn decode_is_the_inverse_of_encode(name in any::<String>()) {
            let encoded = encode(&name);
            prop_assert!(encoded.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert_eq!(decode(&encoded), Some(name));
        }

        #[test]
        fn decode_of_anything_does_not_panic(name in any::<String>()) {
            if let Some(decoded) = decode(&name) { prop_assert_eq!(encode(&decoded), name); }
        }
    }
}
