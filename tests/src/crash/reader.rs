//! A client of IMAP that changes everything that it can.

use super::{
    client::Client,
    ledger::{Account, Doubt, Flags},
    text::{code, join, message, random_flags, set, size},
    view::{View, first_number, view},
    work::Work,
};
use crate::Random;

/// So many folders of its own are enough for an account.
const MANY_FOLDERS: usize = 8;

/// A client of IMAP at one account.
pub(crate) struct Reader<'a> {
    work: &'a Work<'a>,
    user: &'a str,
    imap: &'a mut Client,
    random: &'a mut Random,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        work: &'a Work<'a>,
        user: &'a str,
        imap: &'a mut Client,
        random: &'a mut Random,
    ) -> Self {
        Self {
            work,
            user,
            imap,
            random,
        }
    }

    /// Does one thing.
    pub(crate) fn act(&mut self, folder: &str) -> Option<()> {
        let full = self.with(|account| account.is_full());
        match self.random.below(10) {
            0 | 1 if !full => self.append(folder),
            2 => self.change_folders(),
            3 => self.subscribe(folder),
            _ => self.change_messages(folder),
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.work.ledger().account(self.user))
    }

    fn done<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.work.answered().account(self.user))
    }

    fn append(&mut self, folder: &str) -> Option<()> {
        let number = self.work.ledger().number();
        let id = format!("a{number}@client.example");
        let size = size(self.random);
        let text = message(&id, "", size);
        let flags = random_flags(self.random);
        let date = format!(
            "{:02}-Mar-2021 12:34:{:02} +0000",
            1 + number % 28,
            number % 60
        );
        self.with(|account| {
            account.expect(&id, ("", size), folder, flags.clone());
            if let Some(message) = account.messages.get_mut(&id) {
                message.date = Some(date.clone());
            }
        });
        let arguments = format!("\"{folder}\" ({}) \"{date}\"", join(&flags));
        let response = self.imap.append(&arguments, &text)?;
        let (validity, uids) = code(&response.tagged, "APPENDUID ")?;
        self.done(|account| {
            account.answered(&id);
            account.see(folder, validity, *uids.first()?, &id);
            Some(())
        })
    }

    /// CREATE, RENAME or DELETE.
    fn change_folders(&mut self) -> Option<()> {
        let number = self.work.ledger().number();
        let mut own = self.with(|account| account.folders_now());
        own.retain(|name| name.starts_with('F') && name != "Filed");
        let name = format!("F{number}");
        match self.random.below(3) {
            choice if own.len() > MANY_FOLDERS || (choice == 0 && !own.is_empty()) => {
                let gone = self.random.pick(&own).clone();
                self.with(|account| {
                    account.folders.get_mut(&gone)?.ask(false);
                    account.validity.remove(&gone);
                    for message in account.messages.values_mut() {
                        message.leave(&gone);
                    }
                    Some(())
                });
                self.imap.must(&format!("DELETE {gone}"))?;
                self.done(|account| {
                    account.folders.get_mut(&gone)?.answered();
                    account.settle();
                    Some(())
                })
            }
            1 if !own.is_empty() => {
                let old = self.random.pick(&own).clone();
                self.with(|account| account.begin_rename(&old, &name));
                self.imap.must(&format!("RENAME {old} {name}"))?;
                self.done(|account| {
                    account.folders.get_mut(&old)?.answered();
                    account.folders.get_mut(&name)?.answered();
                    account.settle();
                    Some(())
                })
            }
            _ => {
                // A name that somebody had before is the better test.
                let mut free = self.with(|account| {
                    let gone = account.folders.iter();
                    let gone = gone.filter(|(_, there)| there.0 == [false]);
                    gone.map(|(name, _)| name.clone()).collect::<Vec<_>>()
                });
                free.push(name);
                let made = self.random.pick(&free).clone();
                self.with(|account| {
                    let there = account.folders.entry(made.clone());
                    there.or_insert_with(|| Doubt::sure(false)).ask(true);
                });
                self.imap.must(&format!("CREATE {made}"))?;
                self.done(|account| {
                    account.folders.get_mut(&made)?.answered();
                    Some(())
                })
            }
        }
    }

    fn subscribe(&mut self, folder: &str) -> Option<()> {
        let wanted = self.random.below(2) == 0;
        self.with(|account| {
            let state = account.subscriptions.entry(folder.to_owned());
            // The server subscribes some by itself.
            let unknown = || Doubt(vec![false, true]);
            state.or_insert_with(unknown).ask(wanted);
        });
        let verb = if wanted { "SUBSCRIBE" } else { "UNSUBSCRIBE" };
        self.imap.must(&format!("{verb} \"{folder}\""))?;
        self.done(|account| {
            account.subscriptions.get_mut(folder)?.answered();
            Some(())
        })
    }

    /// STORE, COPY, MOVE or EXPUNGE of some messages of a folder.
    fn change_messages(&mut self, folder: &str) -> Option<()> {
        let view = view(self.imap, folder)?;
        self.with(|account| account.note(folder, &view));
        let mut chosen: Vec<(u32, String)> = Vec::new();
        for found in &view.messages {
            if self.random.below(3) == 0
                && self.with(|account| account.is_settled(&found.id, folder))
            {
                chosen.push((found.uid, found.id.clone()));
            }
        }
        chosen.truncate(4);
        if chosen.is_empty() {
            return Some(());
        }
        let full = self.with(|account| account.is_full());
        match self.random.below(6) {
            _ if full => self.expunge(folder, &chosen),
            0 | 1 => self.store(folder, &view, &chosen),
            2 | 3 => self.transfer(folder, chosen, self.random.clone().below(2) == 0),
            _ => self.expunge(folder, &chosen),
        }
    }

    fn store(&mut self, folder: &str, view: &View, chosen: &[(u32, String)]) -> Option<()> {
        let flags = random_flags(self.random);
        self.with(|account| {
            for (_, id) in chosen {
                account.ask_flags(id, folder, &flags);
            }
        });
        let set = set(chosen);
        let response = self
            .imap
            .must(&format!("UID STORE {set} FLAGS ({})", join(&flags)))?;
        self.done(|account| {
            for (_, id) in chosen {
                account.flags_answered(id, folder);
            }
            let seen = account
                .seen
                .entry((folder.to_owned(), view.validity))
                .or_default();
            let before = seen.modseq;
            for line in response.with("MODSEQ (") {
                let modseq = first_number(line, "MODSEQ (").unwrap_or(0);
                // A message that had these flags keeps its number.
                let unchanged = view.messages.iter().any(|found| found.flags == flags);
                assert!(
                    modseq > before || unchanged,
                    "MODSEQ {modseq} of a change in {folder} after {before} was seen: {line}"
                );
                seen.modseq = seen.modseq.max(modseq);
            }
        });
        Some(())
    }

    /// COPY or MOVE to a folder that has none of these messages.
    fn transfer(&mut self, folder: &str, chosen: Vec<(u32, String)>, moved: bool) -> Option<()> {
        let folders = self.with(|account| account.folders_now());
        let target = self.random.pick(&folders).clone();
        let chosen: Vec<_> = chosen
            .into_iter()
            .filter(|(_, id)| target != folder && self.with(|account| !account.is_in(id, &target)))
            .collect();
        if chosen.is_empty() {
            return Some(());
        }
        self.with(|account| {
            for (_, id) in &chosen {
                account.ask_transfer(id, folder, &target, moved);
            }
        });
        let verb = if moved { "MOVE" } else { "COPY" };
        let set = set(&chosen);
        let response = self.imap.must(&format!("UID {verb} {set} \"{target}\""))?;
        let mut codes = response.untagged.iter().chain([&response.tagged]);
        let line = codes.find(|line| line.contains("COPYUID "))?;
        let (validity, uids) = code(line, "COPYUID ")?;
        let (from, to) = uids.split_at(uids.len() / 2);
        assert_eq!(from.len(), chosen.len(), "{line}");
        self.done(|account| {
            for (n, uid) in from.iter().enumerate() {
                let (_, id) = chosen.iter().find(|(other, _)| other == uid)?;
                account.answered(id);
                account.see(&target, validity, *to.get(n)?, id);
            }
            Some(())
        })
    }

    fn expunge(&mut self, folder: &str, chosen: &[(u32, String)]) -> Option<()> {
        let deleted = Flags::from(["\\Deleted".to_owned()]);
        self.with(|account| {
            for (_, id) in chosen {
                account.ask_flags(id, folder, &deleted);
            }
        });
        let set = set(chosen);
        self.imap
            .must(&format!("UID STORE {set} FLAGS (\\Deleted)"))?;
        self.with(|account| {
            for (_, id) in chosen {
                account.flags_answered(id, folder);
                if let Some(message) = account.messages.get_mut(id) {
                    message.leave(folder);
                }
            }
        });
        self.imap.must(&format!("UID EXPUNGE {set}"))?;
        self.done(|account| {
            for (_, id) in chosen {
                account.gone(id);
            }
        });
        Some(())
    }
}
