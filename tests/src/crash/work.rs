//! What clients do until the server dies: deliveries of every kind, and every change that IMAP and
//! ManageSieve know. What they do follows from a seed; how they interleave does not.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::{
    client::Client,
    ledger::{Account, Doubt, Flags, Ledger, Message, Placement, When},
    view::{View, first_number, view},
};
use crate::{Facteur, Random, base64};

pub(crate) const ALICE: &str = "alice@example.test";
pub(crate) const BOB: &str = "bob@example.test";
pub(crate) const CAROL: &str = "carol@example.test";

/// Alice's script, which stays.
pub(crate) const FILING: &str =
    "require \"fileinto\";\r\nif exists \"X-File\" { fileinto \"Filed\"; }\r\n";

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    smtp: SocketAddr,
    lmtp: SocketAddr,
    imap: SocketAddr,
    managesieve: SocketAddr,
}

impl Places {
    pub(crate) fn of(facteur: &Facteur) -> Self {
        Self {
            smtp: facteur.address("smtp"),
            lmtp: facteur.address("lmtp"),
            imap: facteur.address("imap"),
            managesieve: facteur.address("managesieve"),
        }
    }
}

/// One run of all clients.
pub(crate) struct Work<'a> {
    pub(crate) ledger: &'a Mutex<Ledger>,
    pub(crate) places: Places,
    pub(crate) seed: u64,
    /// How many things each client does.
    pub(crate) steps: usize,
}

impl Work<'_> {
    /// Runs until all is done or the server is dead; whether all is done.
    ///
    /// # Panics
    /// When the server refuses what it should do.
    pub(crate) fn run(&self) -> bool {
        thread::scope(|scope| {
            let clients = [
                scope.spawn(|| self.deliver_by_smtp()),
                scope.spawn(|| self.deliver_by_lmtp()),
                scope.spawn(|| self.read_mail(ALICE, 1)),
                scope.spawn(|| self.read_mail(BOB, 2)),
                scope.spawn(|| self.write_scripts()),
            ];
            let ends: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            ends.into_iter().all(|end| match end {
                Ok(end) => end.is_some(),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn random(&self, client: u64) -> Random {
        Random::new(self.seed.wrapping_mul(31).wrapping_add(client))
    }

    fn answered(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        ledger.answered += 1;
        ledger
    }

    /// Messages to Alice and Bob, some of them filed by Alice's script, some to somebody elsewhere.
    fn deliver_by_smtp(&self) -> Option<()> {
        let mut random = self.random(3);
        let mut client = Client::mail(self.places.smtp, "EHLO")?;
        for _ in 0..self.steps {
            let number = self.ledger().number();
            let id = format!("s{number}@client.example");
            let filed = random.below(3) == 0;
            let head = if filed { "X-File: yes\r\n" } else { "" };
            let text = message(&id, head, size(&mut random));
            let remote = (random.below(3) == 0).then(|| format!("r{number}@remote.test"));
            {
                let mut ledger = self.ledger();
                let folder = if filed { "Filed" } else { "INBOX" };
                ledger
                    .account(ALICE)
                    .expect(&id, &text, folder, Flags::new());
                ledger
                    .account(BOB)
                    .expect(&id, &text, "INBOX", Flags::new());
                if let Some(remote) = &remote {
                    ledger.relayed.insert(remote.clone(), false);
                }
            }
            client.reply("MAIL FROM:<sender@elsewhere.example>", "250")?;
            for to in [ALICE, BOB].into_iter().chain(remote.as_deref()) {
                client.reply(&format!("RCPT TO:<{to}>"), "250")?;
            }
            client.reply("DATA", "354")?;
            client.reply(&format!("{text}."), "250")?;
            let mut ledger = self.answered();
            ledger.account(ALICE).answered(&id);
            ledger.account(BOB).answered(&id);
            if let Some(remote) = remote {
                ledger.relayed.insert(remote, true);
            }
        }
        Some(())
    }

    /// Messages to Bob and Carol; Bob's script answers each sender once.
    fn deliver_by_lmtp(&self) -> Option<()> {
        let mut random = self.random(4);
        let mut client = Client::mail(self.places.lmtp, "LHLO")?;
        for _ in 0..self.steps {
            let number = self.ledger().number();
            let id = format!("l{number}@client.example");
            // A few senders come back.
            let sender = format!("carol+{}@example.test", number % 40);
            let head = format!("To: {BOB}\r\nFrom: {sender}\r\n");
            let text = message(&id, &head, size(&mut random));
            {
                let mut ledger = self.ledger();
                ledger
                    .account(BOB)
                    .expect(&id, &text, "INBOX", Flags::new());
                ledger
                    .account(CAROL)
                    .expect(&id, &text, "INBOX", Flags::new());
                let replies = &mut ledger.account(CAROL).replies;
                replies.entry(sender.clone()).or_insert(false);
            }
            client.reply(&format!("MAIL FROM:<{sender}>"), "250")?;
            client.reply(&format!("RCPT TO:<{BOB}>"), "250")?;
            client.reply(&format!("RCPT TO:<{CAROL}>"), "250")?;
            client.reply("DATA", "354")?;
            client.reply(&format!("{text}."), "250")?;
            {
                let mut ledger = self.answered();
                ledger.account(BOB).answered(&id);
                ledger.account(CAROL).replies.insert(sender, true);
            }
            let second = client.line()?;
            assert!(second.starts_with("250"), "{second}");
            self.answered().account(CAROL).answered(&id);
        }
        Some(())
    }

    /// Bob's scripts, which differ in nothing that matters.
    fn write_scripts(&self) -> Option<()> {
        let mut client = Client::connect(self.places.managesieve)?;
        client.sieve_ok()?;
        let secret = base64(format!("\0{BOB}\0pw").as_bytes());
        client.sieve(&format!("AUTHENTICATE \"PLAIN\" \"{secret}\""))?;
        for step in 0..self.steps / 2 {
            let number = self.ledger().number();
            let text = vacation(number);
            let name = format!("script{}", step % 3);
            // Storing the one that is active changes it; storing another changes nothing.
            let put = format!("PUTSCRIPT \"{name}\" {{{}+}}\r\n{text}", text.len());
            self.ledger().account(BOB).script.as_mut()?.ask(text);
            client.sieve(&put)?;
            client.sieve(&format!("SETACTIVE \"{name}\""))?;
            self.answered().account(BOB).script.as_mut()?.answered();
        }
        Some(())
    }

    fn read_mail(&self, user: &str, client: u64) -> Option<()> {
        let mut random = self.random(client);
        let mut imap = Client::imap(self.places.imap, user)?;
        for _ in 0..self.steps {
            let folders = self.ledger().account(user).folders_now();
            let folder = random.pick(&folders).clone();
            let mut reader = Reader {
                work: self,
                user,
                imap: &mut imap,
                random: &mut random,
            };
            match reader.random.below(10) {
                0 | 1 => reader.append(&folder)?,
                2 => reader.change_folders()?,
                3 => reader.subscribe(&folder)?,
                _ => reader.change_messages(&folder)?,
            }
        }
        Some(())
    }
}

/// A client of IMAP at one account.
struct Reader<'a> {
    work: &'a Work<'a>,
    user: &'a str,
    imap: &'a mut Client,
    random: &'a mut Random,
}

impl Reader<'_> {
    fn with<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.work.ledger().account(self.user))
    }

    fn done<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(self.work.answered().account(self.user))
    }

    fn append(&mut self, folder: &str) -> Option<()> {
        let number = self.work.ledger().number();
        let id = format!("a{number}@client.example");
        let text = message(&id, "", size(self.random));
        let flags = random_flags(self.random);
        let date = format!(
            "{:02}-Mar-2021 12:34:{:02} +0000",
            1 + number % 28,
            number % 60
        );
        self.with(|account| {
            account.expect(&id, &text, folder, flags.clone());
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
            0 if !own.is_empty() => {
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
            state.or_insert_with(|| Doubt::sure(false)).ask(wanted);
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
        match self.random.below(6) {
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
                account.answered(id);
            }
        });
        Some(())
    }
}

impl Message {
    /// It was asked to go from `folder`.
    fn leave(&mut self, folder: &str) {
        let Some(now) = self.places.now() else { return };
        if now.contains(folder) {
            let mut left = now.clone();
            left.remove(folder);
            self.places.ask(left);
        }
    }
}

impl Account {
    /// Whether nothing is asked of the message, which is in `folder`.
    fn is_settled(&self, id: &str, folder: &str) -> bool {
        let places = self.messages.get(id).map(|message| &message.places.0);
        places.is_some_and(|places| places.len() == 1 && places[0].contains(folder))
    }

    fn is_in(&self, id: &str, folder: &str) -> bool {
        let places = self.messages.get(id).map(|message| &message.places.0);
        places.is_none_or(|places| places.iter().any(|place| place.contains(folder)))
    }

    fn ask_flags(&mut self, id: &str, folder: &str, flags: &Flags) {
        if let Some(message) = self.messages.get_mut(id)
            && let Some(history) = message.flags.get_mut(folder)
        {
            history.0.push((When::Asked, flags.clone()));
        }
    }

    fn flags_answered(&mut self, id: &str, folder: &str) {
        if let Some(message) = self.messages.get_mut(id)
            && let Some(history) = message.flags.get_mut(folder)
            && let Some((at, _)) = history.0.last_mut()
        {
            *at = When::At(Instant::now());
        }
    }

    fn ask_transfer(&mut self, id: &str, from: &str, to: &str, moved: bool) {
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
    fn begin_rename(&mut self, old: &str, new: &str) -> Option<()> {
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
    fn settle(&mut self) {
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
    }
}

/// A message of about `size` bytes that can be told whole from torn.
pub(crate) fn message(id: &str, head: &str, size: usize) -> String {
    let line = "A line that is there to be there, and to be found again after the crash.\r\n";
    let body = line.repeat(size / line.len() + 1);
    format!("Message-ID: <{id}>\r\n{head}Subject: {id}\r\n\r\n{body}end of {id}\r\n")
}

/// Bob's script.
pub(crate) fn vacation(number: u64) -> String {
    format!(
        "# version {number}\r\nrequire \"vacation\";\r\nvacation :days 7 :handle \"away\" \"I am away.\";\r\n"
    )
}

fn size(random: &mut Random) -> usize {
    match random.below(20) {
        0 => 600_000,
        1 | 2 => 40_000,
        _ => 200 + random.below(3000),
    }
}

fn random_flags(random: &mut Random) -> Flags {
    let all = [
        "\\Seen",
        "\\Answered",
        "\\Flagged",
        "$Forwarded",
        "Work",
        "Later",
    ];
    let chosen = all.iter().filter(|_| random.below(2) == 0);
    chosen.map(|flag| (*flag).to_owned()).collect()
}

fn join(flags: &Flags) -> String {
    flags.iter().cloned().collect::<Vec<_>>().join(" ")
}

fn set(chosen: &[(u32, String)]) -> String {
    let uids: Vec<String> = chosen.iter().map(|(uid, _)| uid.to_string()).collect();
    uids.join(",")
}

/// UIDVALIDITY and the UIDs of a response code, ranges resolved.
fn code(line: &str, name: &str) -> Option<(u32, Vec<u32>)> {
    let (_, rest) = line.split_once(name)?;
    let (code, _) = rest.split_once(']')?;
    let mut fields = code.split(' ');
    let validity = fields.next()?.parse().ok()?;
    let mut uids = Vec::new();
    for part in fields.flat_map(|field| field.split(',')) {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        uids.extend(first..=last);
    }
    Some((validity, uids))
}
