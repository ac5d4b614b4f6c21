//! An account that only a script sees.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use facteur_address::Address;
use facteur_model::{MailboxName, SpecialUse};
use facteur_store::StoreError;

use crate::{
    options::Options,
    sieve::{Action, Engine, Facts, Fault, Input, Job, Run, Script, Source, World},
};

pub(super) const MESSAGE: &str = "\
Received: from mx.example.net by mx.example.org; Mon, 7 Sep 2020 10:00:00 +0200\r\n\
From: Ann <ann+news@example.net>\r\n\
To: Bob <bob@example.org>\r\n\
Subject: Hello 42 world\r\n\
Message-ID: <1@example.net>\r\n\
Date: Mon, 7 Sep 2020 10:00:00 +0200\r\n\
X-Priority: 10\r\n\
X-Spam-Score: 7\r\n\
X-Virus: Infected\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"b\"\r\n\
\r\n\
--b\r\n\
Content-Type: text/plain\r\n\
\r\n\
The body has a needle.\r\n\
--b\r\n\
Content-Type: image/png; name=\"a.png\"\r\n\
\r\n\
PNG\r\n\
--b--\r\n";

/// The account of bob@example.org.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) scripts: HashMap<String, String>,
    pub(super) memory: Mutex<HashSet<[u8; 32]>>,
}

impl World for Fake {
    fn mailboxes(&self) -> Result<Vec<(MailboxName, Option<SpecialUse>)>, StoreError> {
        let name = |name| MailboxName::parse(name).unwrap();
        Ok(vec![
            (MailboxName::inbox(), None),
            (name("Spam"), Some(SpecialUse::Junk)),
        ])
    }
    fn mailbox_name(&self, name: &str) -> Option<MailboxName> {
        MailboxName::parse(name).ok()
    }
    fn remembers(&self, key: &[u8; 32]) -> Result<bool, StoreError> {
        Ok(self.memory.lock().unwrap().contains(key))
    }
    fn script(&self, name: &sieve::Script) -> Result<Option<Arc<Script>>, Fault> {
        let Some(text) = self.scripts.get(name.as_str()) else {
            return Ok(None);
        };
        let compiled = Script::compile(text.as_bytes());
        let compiled = compiled.map_err(|error| Fault::Include(error.to_string()))?;
        Ok(Some(Arc::new(compiled)))
    }
}

/// Runs `script` over `message` with `world`.
pub(super) fn run_in(
    world: &Arc<Fake>,
    options: &Options,
    script: &str,
    message: &str,
) -> Result<Run, Fault> {
    let script = Script::compile(script.as_bytes()).unwrap_or_else(|error| {
        panic!("{error}\n{script}");
    });
    let world: Arc<dyn World> = Arc::<Fake>::clone(world);
    let job = Job {
        script: Arc::new(script),
        input: Input {
            bytes: Source::Memory(Bytes::copy_from_slice(message.as_bytes())),
            added: vec![(
                "Delivered-To".to_owned(),
                "bob+lists@example.org".to_owned(),
            )],
        },
        version: None,
        facts: Facts {
            sender: "ann@example.net".to_owned(),
            original: Address::parse("bob+lists@example.org").unwrap(),
            owner: Address::parse("bob@example.org").unwrap(),
            remote_ip: "192.0.2.7".to_owned(),
            now: 1_600_000_000,
        },
        flags: Vec::new(),
        world,
        engine: Arc::new(Engine::new(options)),
        patience: Duration::ZERO,
    };
    job.run()
}

/// Runs `script` over [`MESSAGE`], and remembers what it remembers.
pub(super) fn run(world: &Arc<Fake>, script: &str) -> Run {
    let run = run_in(world, &Options::default(), script, MESSAGE).unwrap();
    let keys = run.memory.iter().map(|(key, _)| *key);
    world.memory.lock().unwrap().extend(keys);
    run
}

/// The folders that a run files into, `keep` for the inbox.
pub(super) fn folders(run: &Run) -> Vec<&str> {
    let filed = run.actions.iter().filter_map(|action| match action {
        Action::FileInto { folder, .. } => Some(folder.as_str()),
        _ => None,
    });
    filed.chain(run.keep.iter().map(|_| "keep")).collect()
}
