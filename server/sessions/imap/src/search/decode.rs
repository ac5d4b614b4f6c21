//! Content-Transfer-Encodings (RFC 2045 §6), piece by piece. What is malformed is passed over: a
//! search tells what can be read.

/// How a part's octets are encoded.
#[derive(Debug)]
pub(super) enum Decoder {
    /// 7bit, 8bit, binary, and what is unknown.
    Identity,
    Base64 {
        bits: u32,
        count: u32,
    },
    /// What stands at the end and may go on.
    QuotedPrintable {
        pending: Vec<u8>,
    },
}

impl Decoder {
    /// By the value of Content-Transfer-Encoding.
    pub(super) fn new(encoding: &[u8]) -> Self {
        match encoding.trim_ascii() {
            e if e.eq_ignore_ascii_case(b"base64") => Self::Base64 { bits: 0, count: 0 },
            e if e.eq_ignore_ascii_case(b"quoted-printable") => Self::QuotedPrintable {
                pending: Vec::new(),
            },
            _ => Self::Identity,
        }
    }

    /// Appends what `piece` stands for.
    pub(super) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Identity => out.extend_from_slice(piece),
            Self::Base64 { bits, count } => {
                for byte in piece {
                    let Some(value) = base64_value(*byte) else {
                        continue;
                    };
                    *bits = (*bits << 6 | value) & 0x00ff_ffff;
                    *count += 6;
                    if *count >= 8 {
                        *count -= 8;
                        out.push((*bits >> *count & 0xff).to_le_bytes()[0]);
                    }
                }
            }
            Self::QuotedPrintable { pending } => {
                pending.extend_from_slice(piece);
                let kept = quoted_printable(pending, out);
                let gone = pending.len() - kept;
                pending.drain(..gone);
            }
        }
    }

    /// Appends what was held back.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Self::QuotedPrintable { pending } = self {
            out.append(pending);
        }
    }
}

fn base64_value(byte: u8) -> Option<u32> {
    Some(u32::from(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}

/// Decodes; returns how many octets at the end wait for more.
fn quoted_printable(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        match escape {
            [_] | [_, _] => return escape.len(),
            [_, b'\r', b'\n', tail @ ..] | [_, b'\n', tail @ ..] => rest = tail,
            [_, high, low, tail @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => {
                    out.push(b'=');
                    rest = escape.get(1..).unwrap_or_default();
                }
            },
            [] => break,
        }
    }
    out.extend_from_slice(rest);
    0
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: &str, text: &[u8], size: usize) -> Vec<u8> {
        let mut decoder = Decoder::new(encoding.as_bytes());
        let mut out = Vec::new();
        for piece in text.chunks(size) {
            decoder.push(piece, &mut out);
        }
        decoder.finish(&mut out);
        out
    }

    #[test]
    fn encodings_are_decoded_in_any_pieces() {
        for size in 1..12 {
            assert_eq!(
                decode("BASE64", b"aGVs\r\nbG8g\r\nd29ybGQ=\r\n", size),
                b"hello world"
            );
            assert_eq!(
                decode(" quoted-printable ", b"caf=C3=A9 a=\r\nb=\nc =zz =3", size),
                "caf\u{e9} abc =zz =3".as_bytes()
            );
            assert_eq!(decode("7bit", b"as=20is", size), b"as=20is");
        }
    }
}
