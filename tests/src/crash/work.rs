//! What clients do until the server dies: deliveries of every kind, and every change that IMAP and
//! ManageSieve know. What they do follows from a seed; how they interleave does not.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    client::Client,
    ledger::{Flags, Ledger},
    reader::Reader,
    text::{message, size, vacation},
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
    pub(crate) end: End<'a>,
    /// The server's data folder, for the operator.
    pub(crate) data: &'a Path,
}

/// When a client has done enough.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End<'a> {
    /// After so many things.
    Steps(usize),
    /// When this is set.
    When(&'a AtomicBool),
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

    pub(crate) fn goes_on(&self, step: usize) -> bool {
        match self.end {
            End::Steps(steps) => step < steps,
            End::When(over) => !over.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn random(&self, client: u64) -> Random {
        Random::new(self.seed.wrapping_mul(31).wrapping_add(client))
    }

    pub(crate) fn answered(&self) -> MutexGuard<'_, Ledger> {
        let mut ledger = self.ledger();
        ledger.answered += 1;
        ledger
    }

    /// Messages to Alice and Bob, some of them filed by Alice's script, some to somebody elsewhere.
    fn deliver_by_smtp(&self) -> Option<()> {
        let mut random = self.random(3);
        let mut client = Client::mail(self.places.smtp, "EHLO")?;
        for _ in (0..).take_while(|step| self.goes_on(*step)) {
            let number = self.ledger().number();
            let id = format!("s{number}@client.example");
            let filed = random.below(3) == 0;
            let head = if filed { "X-File: yes\r\n" } else { "" };
            let size = size(&mut random);
            let text = message(&id, head, size);
            let of = (head, size);
            let remote = (random.below(3) == 0).then(|| format!("r{number}@remote.test"));
            {
                let mut ledger = self.ledger();
                let folder = if filed { "Filed" } else { "INBOX" };
                ledger.account(ALICE).expect(&id, of, folder, Flags::new());
                ledger.account(BOB).expect(&id, of, "INBOX", Flags::new());
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
        for _ in (0..).take_while(|step| self.goes_on(*step)) {
            let number = self.ledger().number();
            let id = format!("l{number}@client.example");
            // A few senders come back.
            let sender = format!("carol+{}@example.test", number % 40);
            let head = format!("To: {BOB}\r\nFrom: {sender}\r\n");
            let size = size(&mut random);
            let text = message(&id, &head, size);
            let of = (head.as_str(), size);
            {
                let mut ledger = self.ledger();
                ledger.account(BOB).expect(&id, of, "INBOX", Flags::new());
                ledger.account(CAROL).expect(&id, of, "INBOX", Flags::new());
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

    /// Bob's scripts, which differ in nothing that matters; and now and then the operator.
    fn write_scripts(&self) -> Option<()> {
        let mut random = self.random(5);
        let mut client = Client::connect(self.places.managesieve)?;
        client.sieve_ok()?;
        let secret = base64(format!("\0{BOB}\0pw").as_bytes());
        client.sieve(&format!("AUTHENTICATE \"PLAIN\" \"{secret}\""))?;
        for step in (0_usize..).take_while(|step| self.goes_on(2 * step)) {
            let number = self.ledger().number();
            let text = vacation(number);
            let name = format!("script{}", step % 3);
            // Storing the one that is active changes it; storing another changes nothing.
            let put = format!("PUTSCRIPT \"{name}\" {{{}+}}\r\n{text}", text.len());
            self.ledger().account(BOB).script.as_mut()?.ask(text);
            client.sieve(&put)?;
            client.sieve(&format!("SETACTIVE \"{name}\""))?;
            self.answered().account(BOB).script.as_mut()?.answered();
            if random.below(4) == 0 {
                self.operate(self.data, &mut random)?;
            }
        }
        Some(())
    }

    pub(crate) fn read_mail(&self, user: &str, client: u64) -> Option<()> {
        let mut random = self.random(client);
        let mut imap = Client::imap(self.places.imap, user)?;
        for _ in (0..).take_while(|step| self.goes_on(*step)) {
            let folders = self.ledger().account(user).folders_now();
            let folder = random.pick(&folders).clone();
            Reader::new(self, user, &mut imap, &mut random).act(&folder)?;
        }
        Some(())
    }
}
