//! An account's index: read, changed, and given up.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use facteur_index::{Index, IndexError, Transaction};
use facteur_journal::Ticket;

use super::{Owner, reopened};
use crate::{
    StoreError,
    record::Change,
    shared::Shared,
    slot::{SESSION, Slot},
    waiting::Waiting,
};

impl Owner {
    /// Uses the index as it is with all that sessions see, opening it when its handle was given up.
    pub(crate) fn index<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&mut Index) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        self.with_slot(shared, |slot| slot.settled(&shared.log).and_then(work))
    }

    /// Reads the index as it is with all that sessions see, also while rows cannot be written.
    pub(crate) fn look<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&Index, Waiting<'_>) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        match self.index(shared, |_| Ok(())) {
            Err(StoreError::NoSpace | StoreError::Io(_)) => {}
            settled => settled?,
        }
        self.peek(shared, work)
    }

    /// The same without writing any rows: for who would wait longer for that than for looking through
    /// those that wait.
    pub(crate) fn peek<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&Index, Waiting<'_>) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        self.with_slot(shared, |slot| {
            let (index, rows) = slot.as_it_is()?;
            work(index, Waiting(&rows))
        })
    }

    fn with_slot<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&mut Slot) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_broken() {
            return Err(reopened());
        }
        if slot.handle.is_none() {
            slot.open(&shared.disk, self.layout.home())
                .map_err(|error| self.fail(shared, error))?;
            shared.handles.opened(self);
        }
        work(&mut slot).map_err(|error| {
            if matches!(error, IndexError::Damaged(_)) {
                slot.close();
            }
            self.fail(shared, error)
        })
    }

    /// A damaged index ends this owner; the next use of the account rebuilds it.
    fn fail(&self, shared: &Shared, error: IndexError) -> StoreError {
        if matches!(error, IndexError::Damaged(_)) && !self.is_broken() {
            tracing::error!(account = %self.id, %error, "index is damaged: the account is reopened and its index rebuilt");
            // First, or a checkpoint that finds it broken would not carry its changes.
            shared.log.unsettled(&self.id);
            self.broken.store(true, Ordering::Release);
        }
        error.into()
    }

    /// Changes the index outside the journal: what can be found again in the files.
    pub(crate) fn change<T>(
        self: &Arc<Self>,
        shared: &Shared,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError>,
    ) -> Result<T, StoreError> {
        self.index(shared, |index| index.transaction(change))
    }

    /// Has rows of the index written later, before anybody reads them.
    pub(crate) fn write_later(
        self: &Arc<Self>,
        shared: &Shared,
        ticket: Option<Ticket>,
        changes: Vec<Change>,
    ) {
        {
            let mut slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            slot.push(ticket.map(|ticket| ticket.lsn()), changes);
        }
        if !self.dirty.swap(true, Ordering::AcqRel) {
            shared.log.dirty(self);
        }
    }

    /// Writes the rows that wait. Those of a broken owner are in the journal.
    pub(crate) fn write_rows(self: &Arc<Self>, shared: &Shared) -> Result<(), StoreError> {
        if self.is_broken() {
            return Ok(());
        }
        {
            let slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            if !slot.has_rows() {
                return Ok(());
            }
        }
        match self.index(shared, |_| Ok(())) {
            Err(_) if self.is_broken() => Ok(()),
            result => result,
        }
    }

    /// Lets messages come in only if the rows of earlier ones could be written: or one account would
    /// fill the journal for all.
    pub(crate) fn write_overdue(self: &Arc<Self>, shared: &Shared) -> Result<(), StoreError> {
        if self.overdue.load(Ordering::Acquire) {
            self.write_rows(shared)?;
            self.overdue.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Gives up the index's handle if nobody uses it now; says whether it is given up.
    pub(crate) fn release(&self) -> bool {
        match self.index.try_lock() {
            Ok(mut slot) => {
                slot.handle = None;
                true
            }
            Err(_) => false,
        }
    }

    /// Notes that the account was left in order: whoever opens it next, here or on another machine,
    /// need not look through the files. Failing to costs only that look.
    ///
    /// # Errors
    /// When rows, or names in a Maildir, cannot be written: the owner must not go.
    pub(crate) fn unload(self: &Arc<Self>, shared: &Shared) -> Result<(), StoreError> {
        if let Err(error) = self.mark_clean(shared) {
            tracing::warn!(account = %self.id, %error, "account could not be closed cleanly");
            let names = self.lock().is_ok_and(|state| state.has_names_to_write());
            let slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            if (slot.has_rows() || names) && !self.is_broken() {
                return Err(error);
            }
        }
        self.release();
        Ok(())
    }

    /// Writes the rows that wait, and that nothing is missing.
    pub(crate) fn mark_clean(self: &Arc<Self>, shared: &Shared) -> Result<(), StoreError> {
        self.write_names(shared)?;
        {
            let slot = self.index.lock().unwrap_or_else(PoisonError::into_inner);
            if !slot.marked && !slot.has_rows() {
                return Ok(());
            }
        }
        self.with_slot(shared, |slot| {
            let index = slot.settled(&shared.log)?;
            index.transaction(|t| t.set_fact(SESSION, "clean"))?;
            slot.marked = false;
            Ok(())
        })
    }
}
