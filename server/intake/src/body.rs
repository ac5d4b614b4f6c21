//! The message itself, on its way into the store.

use bytes::Bytes;
use facteur_smtp::{EnhancedStatus, Reply};
use facteur_store::{Body, Staging, StoreError};

use crate::{
    Client, Intake, Transaction,
    header::{Facts, HeaderGate},
    reply_for,
};

/// What has come of the message.
#[derive(Debug)]
pub(crate) struct Content {
    gate: HeaderGate,
    /// Away while a write is on the bridge.
    staging: Option<Staging>,
}

impl Content {
    /// Blocking when the message lies in a file.
    pub(crate) fn finish(self) -> Result<(Facts, Body), StoreError> {
        let lost = || std::io::Error::other("the body was lost in a write");
        let mut staging = self.staging.ok_or_else(lost)?;
        let mut written = Ok(());
        let facts = self.gate.finish(|piece| {
            if written.is_ok() {
                written = staging.write(&piece);
            }
        });
        written?;
        Ok((facts, staging.finish()?))
    }
}

impl Intake {
    pub(crate) fn open_content(&self, client: &Client) -> Content {
        Content {
            gate: HeaderGate::new(client.is_author(&self.options.mynetworks)),
            staging: Some(self.parts.store.stage()),
        }
    }

    /// Adds a piece of the message. Only what goes to a file leaves this thread.
    ///
    /// # Errors
    /// What to reply at the message's end; it is of no use any more.
    pub async fn body(&self, transaction: &mut Transaction, piece: Bytes) -> Result<(), Reply> {
        let content = transaction
            .content
            .as_mut()
            .ok_or_else(reply_for::temporary)?;
        let mut pieces = Vec::with_capacity(1);
        content
            .gate
            .push(piece, |piece| pieces.push(piece))
            .map_err(|_| {
                let status = EnhancedStatus::new(5, 3, 4);
                Reply::new(552, status, "Message header is too large")
            })?;
        let length = pieces.iter().map(Bytes::len).sum();
        let mut staging = content.staging.take().ok_or_else(reply_for::temporary)?;
        let blocks = staging.would_block(length);
        let write = move || {
            let written = pieces.iter().try_for_each(|piece| staging.write(piece));
            (staging, written)
        };
        let (staging, written) = if blocks {
            self.parts.bridge.run(write).await
        } else {
            write()
        };
        content.staging = Some(staging);
        written.map_err(|error| reply_for::store(&error))
    }
}
