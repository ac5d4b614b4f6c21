//! The maildrop as it stood at login (RFC 1939 §4: the numbers hold for the whole session).

use std::fmt;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its UID in the mailbox.
    pub uid: u32,
    /// Its size in octets as it is sent, with CRLF line ends (RFC 1939 §11).
    pub size: u64,
}

/// A maildrop: messages in order, and which of them are marked as deleted.
#[derive(Clone, Default)]
pub struct Maildrop {
    uid_validity: u32,
    messages: Vec<Message>,
    /// Unique-ids that do not follow from the UID, by UID.
    unique_ids: Vec<(u32, String)>,
    /// One bit a message; empty while none is marked.
    deleted: Vec<u64>,
    count: u32,
    octets: u64,
}

impl fmt::Debug for Maildrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maildrop")
            .field("messages", &self.messages.len())
            .field("left", &self.count)
            .field("octets", &self.octets)
            .finish_non_exhaustive()
    }
}

impl Maildrop {
    /// From the mailbox's UIDVALIDITY and its messages in UID order.
    pub fn new(uid_validity: u32, messages: Vec<Message>) -> Self {
        Self {
            uid_validity,
            count: u32::try_from(messages.len()).unwrap_or(u32::MAX),
            octets: messages.iter().map(|m| m.size).sum(),
            messages,
            unique_ids: Vec::new(),
            deleted: Vec::new(),
        }
    }

    /// With the unique-ids that messages had on an earlier server, by UID in ascending order. What is
    /// none (RFC 1939 §7: 1 to 70 characters from 0x21 to 0x7E) is passed over.
    #[must_use]
    pub fn with_unique_ids(mut self, unique_ids: Vec<(u32, String)>) -> Self {
        self.unique_ids = unique_ids;
        self.unique_ids.retain(|(_, id)| {
            (1..=70).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        });
        self
    }

    /// How many messages are not marked as deleted.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Their size together.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// The message with this number, from 1; `None` when there is none or it is marked.
    pub(crate) fn message(&self, number: u32) -> Option<Message> {
        let index = index(number)?;
        let message = self.messages.get(index)?;
        (!self.is_deleted(index)).then_some(*message)
    }

    /// The first message from this number on that is not marked, with its number.
    pub(crate) fn from(&self, number: u32) -> Option<(u32, Message)> {
        let last = u32::try_from(self.messages.len()).ok()?;
        (number.max(1)..=last).find_map(|n| Some((n, self.message(n)?)))
    }

    /// Marks a message; `false` when there is none.
    pub(crate) fn mark(&mut self, number: u32) -> bool {
        let (Some(message), Some(index)) = (self.message(number), index(number)) else {
            return false;
        };
        if self.deleted.is_empty() {
            self.deleted = vec![0; self.messages.len().div_ceil(64)];
        }
        if let Some(word) = self.deleted.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
        self.count -= 1;
        self.octets -= message.size;
        true
    }

    /// Takes all marks back.
    pub(crate) fn reset(&mut self) {
        let messages = std::mem::take(&mut self.messages);
        let unique_ids = std::mem::take(&mut self.unique_ids);
        *self = Self {
            unique_ids,
            ..Self::new(self.uid_validity, messages)
        };
    }

    /// UIDs of the messages marked, ascending.
    pub(crate) fn marked(&self) -> Vec<u32> {
        let all = self.messages.iter().enumerate();
        all.filter(|(index, _)| self.is_deleted(*index))
            .map(|(_, message)| message.uid)
            .collect()
    }

    /// The unique-id of a message (RFC 1939 §7): UID and UIDVALIDITY in hex, as Dovecot has it by
    /// default, so that clients of a server we replace do not fetch everything again; or the one that
    /// it had before.
    pub(crate) fn unique_id(&self, message: Message) -> String {
        let ids = &self.unique_ids;
        let known = ids.binary_search_by_key(&message.uid, |(uid, _)| *uid);
        match known.ok().and_then(|at| ids.get(at)) {
            Some((_, id)) => id.clone(),
            None => format!("{:08x}{:08x}", message.uid, self.uid_validity),
        }
    }

    fn is_deleted(&self, index: usize) -> bool {
        let word = self.deleted.get(index / 64);
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

fn index(number: u32) -> Option<usize> {
    usize::try_from(number.checked_sub(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unique_ids_of_an_earlier_server_stay_and_what_is_none_is_passed_over() {
        let messages = (1..=4).map(|uid| Message { uid, size: 10 }).collect();
        let ids = [(2, "UID2-1234"), (3, "two words"), (4, "")];
        let ids = ids.map(|(uid, id)| (uid, id.to_owned())).to_vec();
        let mut maildrop = Maildrop::new(7, messages).with_unique_ids(ids);
        maildrop.reset();
        let ids = (1..=4).map(|uid| maildrop.unique_id(Message { uid, size: 10 }));
        let of_ours = |uid| format!("{uid:08x}00000007");
        assert_eq!(
            ids.collect::<Vec<_>>(),
            [of_ours(1), "UID2-1234".to_owned(), of_ours(3), of_ours(4)]
        );
    }

    #[test]
    fn marks_take_messages_out_of_count_and_octets() {
        let messages = (1..=130).map(|uid| Message { uid, size: 10 }).collect();
        let mut maildrop = Maildrop::new(7, messages);
        assert!(maildrop.mark(1) && maildrop.mark(129));
        assert!(!maildrop.mark(1) && !maildrop.mark(0) && !maildrop.mark(131));
        assert_eq!((maildrop.count(), maildrop.octets()), (128, 1280));
        assert_eq!(maildrop.marked(), [1, 129]);
        assert_eq!(maildrop.from(1).map(|(n, _)| n), Some(2));
        assert_eq!(maildrop.from(129).map(|(n, _)| n), Some(130));
        assert_eq!(maildrop.from(131), None);
        maildrop.reset();
        assert_eq!((maildrop.count(), maildrop.octets()), (130, 1300));
    }
}
