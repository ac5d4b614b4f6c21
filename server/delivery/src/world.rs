//! What scripts ask of an account.

use std::sync::Arc;

use facteur_model::{MailboxName, SpecialUse};
use facteur_store::{Account, StoreError};

use crate::{
    options::Options,
    outbox,
    sieve::{Fault, Library, Script, Text, World},
};

/// An account as its scripts see it.
pub(crate) struct AccountWorld {
    pub(crate) account: Account,
    pub(crate) options: Arc<Options>,
    pub(crate) library: Arc<Library>,
    pub(crate) now: i64,
}

impl World for AccountWorld {
    fn mailboxes(&self) -> Result<Vec<(MailboxName, Option<SpecialUse>)>, StoreError> {
        let folders = self.account.folders()?.into_iter();
        let usable = folders.filter(|folder| folder.selectable);
        Ok(usable
            .map(|folder| (folder.name, folder.special_use))
            .collect())
    }

    fn mailbox_name(&self, name: &str) -> Option<MailboxName> {
        outbox::mailbox_name(name, &self.options)
    }

    fn remembers(&self, key: &[u8; 32]) -> Result<bool, StoreError> {
        self.account.remembers(key, self.now)
    }

    fn script(&self, name: &sieve::Script) -> Result<Option<Arc<Script>>, Fault> {
        let text = match name {
            sieve::Script::Personal(name) => match self.account.script(name) {
                Ok(text) => Some(Text::new(name, text.into())),
                Err(StoreError::NoScript | StoreError::Script(_)) => None,
                Err(error) => return Err(Fault::Store(error)),
            },
            sieve::Script::Global(name) => self.global(name)?,
        };
        let Some(text) = text else {
            return Ok(None);
        };
        let compiled = self.library.compiled(&text);
        let failed = |error| Fault::Include(format!("included script {}: {error}", text.name));
        Ok(Some(compiled.map_err(failed)?))
    }
}

impl AccountWorld {
    /// RFC 6609 §3.1: what a global name means is ours to say; here, a file below one folder.
    fn global(&self, name: &str) -> Result<Option<Text>, Fault> {
        let Some(folder) = &self.options.sieve.global else {
            return Ok(None);
        };
        if name.starts_with('.') || name.contains(['/', '\0']) {
            return Ok(None);
        }
        let file = self.library.file(&folder.join(format!("{name}.sieve")));
        file.map_err(|error| Fault::Include(format!("included script {name}: {error}")))
    }
}
