//! A set of UIDs as sorted, disjoint ranges.

use std::ops::RangeInclusive;

use crate::Uid;

/// UIDs as sorted, disjoint, non-adjacent ranges: small however many messages it names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UidSet(Vec<(Uid, Uid)>);

impl UidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Cheapest in ascending order.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid..=uid);
    }

    /// Adds a range; its ends may stand in either order, as in a `seq-range` (RFC 9051 §9).
    pub fn insert_range(&mut self, range: RangeInclusive<Uid>) {
        let (a, b) = (*range.start(), *range.end());
        let (mut low, mut high) = (a.min(b), a.max(b));
        let touches_from = self
            .0
            .partition_point(|(_, end)| end.value().saturating_add(1) < low.value());
        let touches_to = self
            .0
            .partition_point(|(start, _)| start.value() <= high.value().saturating_add(1));
        if let Some(touched) = self.0.get(touches_from..touches_to) {
            for (start, end) in touched {
                low = low.min(*start);
                high = high.max(*end);
            }
        }
        self.0
            .splice(touches_from..touches_to.max(touches_from), [(low, high)]);
    }

    /// Whether `uid` is in it.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.0.partition_point(|(_, end)| *end < uid);
        self.0.get(at).is_some_and(|(start, _)| *start <= uid)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many UIDs it names.
    pub fn len(&self) -> u64 {
        self.0
            .iter()
            .map(|(start, end)| u64::from(end.value() - start.value()) + 1)
            .sum()
    }

    /// Takes the first ones out, at most so many.
    #[must_use]
    pub fn take_first(&mut self, most: u32) -> Self {
        let mut left = most;
        let mut taken = Vec::new();
        let mut whole = 0;
        for (start, end) in &mut self.0 {
            let Some(beyond) = left.checked_sub(1) else {
                break;
            };
            let last = start.value().saturating_add(beyond);
            match Uid::new(last.saturating_add(1)) {
                Some(next) if last < end.value() => {
                    taken.extend(Uid::new(last).map(|last| (*start, last)));
                    *start = next;
                    break;
                }
                _ => {
                    left -= left.min((end.value() - start.value()).saturating_add(1));
                    taken.push((*start, *end));
                    whole += 1;
                }
            }
        }
        self.0.drain(..whole);
        Self(taken)
    }

    /// Its ranges, ascending.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = (Uid, Uid)> + '_ {
        self.0.iter().copied()
    }

    /// Its UIDs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.0
            .iter()
            .flat_map(|(start, end)| (start.value()..=end.value()).filter_map(Uid::new))
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Self::new();
        uids.into_iter().for_each(|uid| set.insert(uid));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_hold_what_was_inserted(ranges in prop::collection::vec((1u32..60, 1u32..60), 0..12)) {
            let mut set = UidSet::new();
            let mut model = BTreeSet::new();
            for (a, b) in ranges {
                set.insert_range(Uid::new(a).unwrap()..=Uid::new(b).unwrap());
                model.extend(a.min(b)..=a.max(b));
            }
            prop_assert_eq!(set.iter().map(Uid::value).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), model.len() as u64);
            for n in 1..62 { prop_assert_eq!(set.contains(Uid::new(n).unwrap()), model.contains(&n)); }
            let kept: Vec<_> = set.ranges().collect();
            prop_assert!(kept.windows(2).all(|w| w[0].1.value() + 1 < w[1].0.value()));
        }
    }
}
