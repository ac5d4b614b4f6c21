//! Numbers in as few bytes as they need: seven bits a byte, the lowest first.

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// Takes a number off the front; `None` when there is none that fits 64 bits.
#[inline]
pub(crate) fn take(input: &mut &[u8]) -> Option<u64> {
    let (first, mut rest) = input.split_first()?;
    let mut value = u64::from(first & 0x7f);
    let mut more = first & 0x80 != 0;
    let mut shift = 7;
    while more {
        let (byte, after) = rest.split_first()?;
        let bits = u64::from(byte & 0x7f);
        if shift > 63 || (shift == 63 && bits > 1) {
            return None;
        }
        value |= bits << shift;
        shift += 7;
        more = byte & 0x80 != 0;
        rest = after;
    }
    *input = rest;
    Some(value)
}

/// Appends how far `now` is from `before`, either way: small when they are close.
pub(crate) fn put_step(out: &mut Vec<u8>, before: u64, now: u64) {
    let step = now.wrapping_sub(before).cast_signed();
    put(out, ((step << 1) ^ (step >> 63)).cast_unsigned());
}

/// Takes what [`put_step`] appended.
#[inline]
pub(crate) fn take_step(input: &mut &[u8], before: u64) -> Option<u64> {
    let step = take(input)?;
    let step = (step >> 1) ^ 0u64.wrapping_sub(step & 1);
    Some(before.wrapping_add(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_comes_back(before: u64, any: u64, small in 0u64..300) {
            for number in [any, small, any >> 32, u64::MAX, 0] {
                let mut out = Vec::new();
                put(&mut out, number);
                put_step(&mut out, before, number);
                let mut input = out.as_slice();
                prop_assert_eq!(take(&mut input), Some(number));
                prop_assert_eq!(take_step(&mut input, before), Some(number));
                prop_assert!(input.is_empty());
                for end in 0..out.len().min(2) {
                    let mut cut = &out[..end];
                    prop_assert!(end > 0 && out[0] < 0x80 || take(&mut cut).is_none());
                }
            }
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        let mut long: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert_eq!(take(&mut long), None);
        let mut endless: &[u8] = &[0x80; 12];
        assert_eq!(take(&mut endless), None);
    }
}
