//! Decimal numbers, without the formatting machinery: a FETCH of 10,000 messages has many.

use bytes::BytesMut;

/// Writes a number in decimal.
pub fn number(out: &mut BytesMut, value: u64) {
    let mut digits = [0u8; 20];
    let mut rest = value;
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
}
