//! From the messages a client names to the messages of the snapshot it knows.

use std::num::NonZeroU32;

use facteur_imap::SequenceSet;
use facteur_model::{Uid, UidSet};

use crate::{outcome::Reply, selected::Selected};

impl Selected {
    /// The UIDs that `set` names, of UIDs or of sequence numbers. Never one that the client was not
    /// told of; perhaps some that are gone.
    ///
    /// # Errors
    /// When a sequence number is greater than the number of messages (RFC 3501 §9, `seq-number`).
    pub(crate) fn uids(&self, set: &SequenceSet, uid: bool) -> Result<UidSet, Reply> {
        if uid {
            Ok(self.of_uids(set))
        } else {
            self.of_sequence(set)
        }
    }

    fn of_uids(&self, set: &SequenceSet) -> UidSet {
        let mut uids = UidSet::new();
        let Some(last) = self.last_uid() else {
            return uids;
        };
        let Some(largest) = NonZeroU32::new(last.value()) else {
            return uids;
        };
        for (low, high) in ascending(set, largest) {
            if let (Some(low), Some(high)) = (Uid::new(low.get()), Uid::new(high.get()))
                && low <= last
            {
                uids.insert_range(low..=high.min(last));
            }
        }
        uids
    }

    fn of_sequence(&self, set: &SequenceSet) -> Result<UidSet, Reply> {
        let mut uids = UidSet::new();
        let Some(largest) = NonZeroU32::new(self.snapshot.len()) else {
            // "1:*" is what clients say for all, and all of nothing is nothing.
            let all = |range: &facteur_imap::SequenceRange| range.last.is_none();
            return match set.ranges().iter().all(all) {
                true => Ok(uids),
                false => Err(no_such_message()),
            };
        };
        for (low, high) in ascending(set, largest) {
            let uid = |number: NonZeroU32| {
                let message = self.snapshot.by_sequence(number.get());
                message.map(|m| m.uid).ok_or_else(no_such_message)
            };
            // In the snapshot these UIDs are of these messages and of no other.
            uids.insert_range(uid(low)?..=uid(high)?);
        }
        Ok(uids)
    }
}

/// In this order a set of many ranges is built in linear time.
fn ascending(set: &SequenceSet, largest: NonZeroU32) -> Vec<(NonZeroU32, NonZeroU32)> {
    let mut ranges: Vec<_> = set.resolve(largest).collect();
    ranges.sort_unstable();
    ranges
}

fn no_such_message() -> Reply {
    Reply::bad("No message with that sequence number")
}
