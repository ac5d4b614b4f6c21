//! The store's commit, while it is being applied.
//!
//! [`Spool::begin`] makes durable what a commit is going to do; from then on it will be done, by
//! the same process or by the next one's recovery. [`Spool::end`] follows when it is done.

use std::io::Read;

use facteur_model::Guid;

use crate::{
    BodyReader, QueueId, Spool, SpoolError,
    listing::{Ids, or_set_aside},
    spool::{TRANSACTION, each_record},
};

/// A transaction that was begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its name.
    pub id: QueueId,
    /// What the store wrote of it.
    pub payload: Vec<u8>,
    /// The copies struck off: they are done.
    pub struck: Vec<Guid>,
    /// How many bodies it has.
    pub bodies: usize,
}

impl Spool {
    /// Makes a transaction durable: `payload` says what is to be done, with these bodies (each
    /// with its length).
    ///
    /// # Errors
    /// [`SpoolError::Length`] when a body is not as long as announced; when the disk fails.
    pub fn begin(
        &self,
        id: &QueueId,
        payload: &[u8],
        bodies: &mut [(&mut dyn Read, u64)],
    ) -> Result<(), SpoolError> {
        self.write(id, TRANSACTION, payload, bodies)
    }

    /// Notes durably that a copy is done.
    ///
    /// # Errors
    /// [`SpoolError::Gone`] when there is no such transaction; when the disk fails.
    pub fn strike(&self, id: &QueueId, copy: Guid) -> Result<(), SpoolError> {
        self.append(id, TRANSACTION, copy.as_bytes())
    }

    /// Ends a transaction durably; says whether there was one.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn end(&self, id: &QueueId) -> Result<bool, SpoolError> {
        self.delete(id, TRANSACTION)
    }

    /// Every transaction, one at a time, for recovery. What is damaged is reported, set aside, and
    /// left out.
    pub fn transactions(&self) -> Transactions {
        let ids = Ids::new(self.clone(), TRANSACTION);
        Transactions {
            spool: self.clone(),
            ids,
        }
    }

    /// Opens a body of a transaction.
    ///
    /// # Errors
    /// When there is no such transaction or body, or the disk fails.
    pub fn transaction_body(&self, id: &QueueId, index: usize) -> Result<BodyReader, SpoolError> {
        let (head, file) = self.open_file(id, TRANSACTION)?;
        BodyReader::new(file, &head, index)
    }

    fn transaction(&self, id: &QueueId) -> Result<Transaction, SpoolError> {
        let (head, file) = self.open_file(id, TRANSACTION)?;
        let mut struck = Vec::new();
        each_record(&head, &file, |record| {
            let copy = <[u8; 16]>::try_from(record)
                .map_err(|_| SpoolError::Damaged("a struck copy cannot be read"))?;
            struck.push(Guid::from_bytes(copy));
            Ok(())
        })?;
        Ok(Transaction {
            id: id.clone(),
            bodies: head.bodies.len(),
            payload: head.header,
            struck,
        })
    }
}

/// The transactions of the spool, each read when it is asked for.
#[derive(Debug)]
pub struct Transactions {
    spool: Spool,
    ids: Ids,
}

impl Iterator for Transactions {
    type Item = Transaction;

    fn next(&mut self) -> Option<Transaction> {
        loop {
            let (shard, id) = self.ids.next()?;
            let read = self.spool.transaction(&id);
            if let Some(found) = or_set_aside(&self.spool, shard, &id, TRANSACTION, read) {
                return Some(found);
            }
        }
    }
}
