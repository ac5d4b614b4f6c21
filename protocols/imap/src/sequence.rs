//! Sets of messages.

use std::num::NonZeroU32;

use crate::cursor::{Cursor, Malformed, Parsed};

/// `sequence-set` (RFC 3501 §9), of message sequence numbers or of UIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(pub(crate) Vec<SequenceRange>);

/// `seq-range` or a single `seq-number`; `None` is `*`. The ends may stand in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRange {
    /// One end.
    pub first: Option<NonZeroU32>,
    /// The other.
    pub last: Option<NonZeroU32>,
}

impl SequenceSet {
    /// Its ranges as written.
    pub fn ranges(&self) -> &[SequenceRange] {
        &self.0
    }

    /// Its ranges with `*` put in as `largest`, lower end first, as written: neither sorted nor
    /// merged, and not cut at `largest`.
    pub fn resolve(&self, largest: NonZeroU32) -> impl Iterator<Item = (NonZeroU32, NonZeroU32)> {
        self.0.iter().map(move |range| {
            let first = range.first.unwrap_or(largest);
            let last = range.last.unwrap_or(largest);
            (first.min(last), first.max(last))
        })
    }

    /// Whether a set stands here.
    pub(crate) fn begins(cursor: &Cursor<'_>) -> bool {
        matches!(cursor.peek(), Some(b'0'..=b'9' | b'*'))
    }

    pub(crate) fn take(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut ranges = Vec::with_capacity(1);
        loop {
            let first = number_or_star(cursor)?;
            let last = if cursor.take_if(b':') {
                number_or_star(cursor)?
            } else {
                first
            };
            ranges.push(SequenceRange { first, last });
            if !cursor.take_if(b',') {
                return Ok(Self(ranges));
            }
        }
    }
}

fn number_or_star(cursor: &mut Cursor<'_>) -> Parsed<Option<NonZeroU32>> {
    const WANTED: Malformed = Malformed("a message number above 0, or *");
    if cursor.take_if(b'*') {
        return Ok(None);
    }
    let number = cursor.number().map_err(|_| WANTED)?;
    NonZeroU32::new(number).map(Some).ok_or(WANTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, largest: u32) -> Vec<(u32, u32)> {
        let set = SequenceSet::take(&mut Cursor::new(text.as_bytes())).unwrap();
        set.resolve(NonZeroU32::new(largest).unwrap())
            .map(|(low, high)| (low.get(), high.get()))
            .collect()
    }

    #[test]
    fn rfc3501_9_examples() {
        assert_eq!(
            resolve("2,4:7,9,12:*", 15),
            [(2, 2), (4, 7), (9, 9), (12, 15)]
        );
        assert_eq!(resolve("*:4,5:7", 10), [(4, 10), (5, 7)]);
    }

    #[test]
    fn star_below_the_range_turns_it_round() {
        assert_eq!(resolve("500:*", 3), [(3, 500)]);
    }

    #[test]
    fn malformed_sets_are_refused() {
        for text in ["", "0", "1,", "1:", ":1", "a", "1:0", "4294967296", "1,,2"] {
            let mut cursor = Cursor::new(text.as_bytes());
            assert!(SequenceSet::take(&mut cursor).is_err(), "{text}");
        }
    }
}
