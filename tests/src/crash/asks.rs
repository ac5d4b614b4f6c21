//! What it means for an account that something was asked for, and that it was answered.

use std::time::Instant;

use super::ledger::{Account, Doubt, Flags, Message, Placement, When};

impl Message {
    /// It was asked to go from `folder`.
    pub(crate) fn leave(&mut self, folder: &str) {
        let Some(now) = self.places.now() else { return };
        if now.contains(folder) {
            let mut left = now.clone();
            left.remove(folder);
            self.places.ask(left);
        }
    }

    /// Whether it is in no folder for sure.
    fn is_nowhere(&self) -> bool {
        self.places.0 == [Placement::new()]
    }
}

/// So many messages are enough for an account.
const MANY: usize = 200;

impl Account {
    /// Whether it is to get no more for a while: in a long run it keeps about what it has.
    pub(crate) fn is_full(&self) -> bool {
        self.messages.len() >= MANY
    }

    /// Whether nothing is asked of the message, which is in `folder`.
    pub(crate) fn is_settled(&self, id: &str, folder: &str) -> bool {
        let places = self.messages.get(id).map(|message| &message.places.0);
        places.is_some_and(|places| places.len() == 1 && places[0].contains(folder))
    }

    /// It is gone for good. Should it come back, it is one that nobody sent.
    pub(crate) fn gone(&mut self, id: &str) {
        self.answered(id);
        if self.messages.get(id).is_some_and(Message::is_nowhere) {
            self.messages.remove(id);
        }
    }

    pub(crate) fn is_in(&self, id: &str, folder: &str) -> bool {
        let places = self.messages.get(id).map(|message| &message.places.0);
        places.is_none_or(|places| places.iter().any(|place| place.contains(folder)))
    }

    pub(crate) fn ask_flags(&mut self, id: &str, folder: &str, flags: &Flags) {
        if let Some(message) = self.messages.get_mut(id)
            && let Some(history) = message.flags.get_mut(folder)
        {
            history.0.push((When::Asked, flags.clone()));
        }
    }

    pub(crate) fn flags_answered(&mut self, id: &str, folder: &str) {
        if let Some(message) = self.messages.get_mut(id)
            && let Some(history) = message.flags.get_mut(folder)
            && let Some((at, _)) = history.0.last_mut()
        {
            *at = When::At(Instant::now());
        }
    }

    pub(crate) fn ask_transfer(&mut self, id: &str, from: &str, to: &str, moved: bool) {
        let Some(message) = self.messages.get_mut(id) else {
            return;
        };
        let mut place: Placement = message.places.now().cloned().unwrap_or_default();
        if moved {
            place.remove(from);
        }
        place.insert(to.to_owned());
        message.places.ask(place);
        if let Some(history) = message.flags.get(from).cloned() {
            message.flags.insert(to.to_owned(), history);
        }
    }

    /// What is in `old` goes to `new` with all that was seen of it, or stays.
    pub(crate) fn begin_rename(&mut self, old: &str, new: &str) -> Option<()> {
        self.folders.get_mut(old)?.ask(false);
        let there = self.folders.entry(new.to_owned());
        there.or_insert_with(|| Doubt::sure(false)).ask(true);
        self.validity.remove(old);
        for message in self.messages.values_mut() {
            let Some(mut place) = message.places.now().cloned() else {
                continue;
            };
            if place.remove(old) {
                place.insert(new.to_owned());
                message.places.ask(place);
                if let Some(history) = message.flags.get(old).cloned() {
                    message.flags.insert(new.to_owned(), history);
                }
            }
        }
        let seen: Vec<_> = self
            .seen
            .iter()
            .filter(|((name, _), _)| name == old)
            .map(|((_, validity), seen)| ((new.to_owned(), *validity), seen.clone()))
            .collect();
        self.seen.extend(seen);
        Some(())
    }

    /// Everything that was asked of what lies in folders was answered.
    pub(crate) fn settle(&mut self) {
        for message in self.messages.values_mut() {
            // Deliveries under way have no other state than their own two, which stay.
            if message
                .places
                .0
                .first()
                .is_some_and(|place| !place.is_empty())
            {
                message.places.answered();
            }
        }
        self.messages.retain(|_, message| !message.is_nowhere());
    }
}
