//! Modified UTF-7 (RFC 3501 §5.1.3): mailbox names as they stand on the wire, and as Dovecot spells
//! them on disk.

/// Why a name is not modified UTF-7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Utf7Error {
    /// An octet outside printable US-ASCII.
    #[error("mailbox name has an octet that modified UTF-7 does not allow")]
    Octet,
    /// `&` without its `-`, or a shifted section that is not base64 of UTF-16.
    #[error("mailbox name has a malformed shifted section")]
    Shift,
    /// A shifted section that writes what stands for itself, or two sections in a row: such a name
    /// would have two spellings.
    #[error("mailbox name is not in its shortest form")]
    NotShortest,
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn is_direct(c: char) -> bool {
    (' '..='~').contains(&c)
}

/// Reads a name. Strict: every name has one spelling, so that two folders never share one.
///
/// # Errors
/// [`Utf7Error`] says which rule it breaks.
pub fn decode(wire: &[u8]) -> Result<String, Utf7Error> {
    let mut text = String::with_capacity(wire.len());
    let mut rest = wire;
    let mut after_shift = false;
    while let Some((first, tail)) = rest.split_first() {
        match first {
            b'&' => {
                let end = memchr::memchr(b'-', tail).ok_or(Utf7Error::Shift)?;
                let (section, tail) = tail.split_at(end);
                rest = tail.get(1..).unwrap_or_default();
                if section.is_empty() {
                    text.push('&');
                    after_shift = false;
                } else if after_shift {
                    return Err(Utf7Error::NotShortest);
                } else {
                    decode_section(section, &mut text)?;
                    after_shift = true;
                }
            }
            0x20..=0x7e => {
                text.push(char::from(*first));
                rest = tail;
                after_shift = false;
            }
            _ => return Err(Utf7Error::Octet),
        }
    }
    Ok(text)
}

fn decode_section(section: &[u8], text: &mut String) -> Result<(), Utf7Error> {
    let mut units = Vec::with_capacity(section.len() * 3 / 8 + 1);
    let (mut bits, mut count) = (0u32, 0u32);
    for byte in section {
        let value = memchr::memchr(*byte, ALPHABET).ok_or(Utf7Error::Shift)?;
        bits = (bits << 6 | u32::try_from(value).unwrap_or(0)) & 0x003f_ffff;
        count += 6;
        if count >= 16 {
            count -= 16;
            let unit = u16::try_from(bits >> count & 0xffff).map_err(|_| Utf7Error::Shift)?;
            units.push(unit);
        }
    }
    // What is left over must be padding: less than one base64 digit, and zero.
    if count >= 6 || bits & ((1 << count) - 1) != 0 {
        return Err(Utf7Error::Shift);
    }
    for c in char::decode_utf16(units) {
        match c.map_err(|_| Utf7Error::Shift)? {
            c if is_direct(c) => return Err(Utf7Error::NotShortest),
            c => text.push(c),
        }
    }
    Ok(())
}

/// Writes a name: printable US-ASCII.
pub fn encode(text: &str) -> String {
    let mut wire = String::with_capacity(text.len() + 8);
    let mut shifted = Shifted::default();
    for c in text.chars() {
        if is_direct(c) {
            shifted.end(&mut wire);
            wire.push(c);
            if c == '&' {
                wire.push('-');
            }
        } else {
            shifted.push(c, &mut wire);
        }
    }
    shifted.end(&mut wire);
    wire
}

#[derive(Default)]
struct Shifted {
    open: bool,
    bits: u32,
    count: u32,
}

impl Shifted {
    fn push(&mut self, c: char, wire: &mut String) {
        if !self.open {
            wire.push('&');
            self.open = true;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            self.bits = self.bits << 16 | u32::from(*unit);
            self.count += 16;
            while self.count >= 6 {
                self.count -= 6;
                wire.push(digit(self.bits >> self.count));
            }
            self.bits &= (1 << self.count) - 1;
        }
    }

    fn end(&mut self, wire: &mut String) {
        if self.open {
            if self.count > 0 {
                wire.push(digit(self.bits << (6 - self.count)));
            }
            wire.push('-');
        }
        *self = Self::default();
    }
}

fn digit(value: u32) -> char {
    usize::try_from(value & 63)
        .ok()
        .and_then(|at| ALPHABET.get(at))
        .map_or('A', |digit| char::from(*digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc3501_5_1_3_example() {
        let wire = b"~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        let text = "~peter/mail/台北/日本語";
        assert_eq!(decode(wire).unwrap(), text);
        assert_eq!(encode(text).as_bytes(), wire);
    }

    #[test]
    fn rfc3501_5_1_3_superfluous_shifts_are_refused() {
        assert_eq!(decode(b"&Jjo!"), Err(Utf7Error::Shift));
        assert_eq!(decode(b"&U,BTFw-&ZeVnLIqe-"), Err(Utf7Error::NotShortest));
        assert_eq!(decode(b"&AGE-"), Err(Utf7Error::NotShortest));
    }

    #[test]
    fn malformed_names_are_refused() {
        for wire in [
            &b"&"[..],
            b"a&AOk",
            b"&AO!-",
            b"&A-",
            b"&AOl-",
            b"&2AA-",
            b"caf\xc3\xa9",
            b"a\0b",
            b"&AOkA-",
            b"&AMk-&AOk-",
            b"&AMk",
            b"\x01",
        ] {
            assert!(decode(wire).is_err(), "{wire:?}");
        }
    }

    proptest! {
        #[test]
        fn decode_of_encode_is_identity(text in any::<String>()) {
            let wire = encode(&text);
            prop_assert!(wire.bytes().all(|b| (0x20..0x7f).contains(&b)));
            prop_assert_eq!(decode(wire.as_bytes()).unwrap(), text);
        }

        #[test]
        fn encode_of_decode_is_identity(wire in "[&a-cA-C0-9,+ -]{0,24}") {
            if let Ok(text) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&text), wire);
            }
        }
    }
}
