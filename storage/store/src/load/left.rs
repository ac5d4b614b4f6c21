//! How an account was left, and what happened since.

use facteur_index::Index;
use facteur_model::ModSeq;

use crate::{
    StoreError,
    log::Log,
    owner::{START, State},
    shared::Shared,
    slot::SESSION,
};

/// How an account was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// In order.
    Clean,
    /// In use with this store's journal, whose changes are done or still to be done.
    OpenHere,
    /// In use with another journal, or its index is new: the files know better.
    Elsewhere,
}

pub(crate) fn left(index: &Index, log: &Log) -> Result<Left, StoreError> {
    let noted = index.fact(SESSION)?;
    Ok(
        match noted.as_deref().and_then(|noted| noted.split_once(' ')) {
            Some(("open", journal)) if journal == log.id().to_string() => Left::OpenHere,
            None if noted.as_deref() == Some("clean") => Left::Clean,
            // What an earlier version wrote when it had left the account in order.
            Some(("clean", _)) => Left::Clean,
            _ => Left::Elsewhere,
        },
    )
}

/// What happened since the account was opened last.
pub(super) struct Start {
    /// The machine may have lost flag changes that clients had seen.
    loss: bool,
    /// The process ended in the middle of something.
    pub(super) unclean: bool,
    /// The journal has lost changes that may have been this account's.
    pub(super) damage: bool,
}

impl Start {
    pub(super) fn of(index: &Index, shared: &Shared) -> Result<Self, StoreError> {
        let noted = index.fact(START)?;
        let mut noted = noted.iter().flat_map(|noted| noted.split(' '));
        let mut differs = |now: u64| noted.next().and_then(|then| then.parse().ok()) != Some(now);
        let now = &shared.start;
        let (loss, unclean) = (differs(now.losses), differs(now.unclean_ends));
        Ok(Self {
            loss,
            unclean,
            damage: differs(now.damages) && now.damages > 0,
        })
    }

    /// MODSEQs that may have been seen and lost are not given again.
    pub(super) fn note(
        &self,
        shared: &Shared,
        index: &mut Index,
        state: &mut State,
    ) -> Result<(), StoreError> {
        if !self.loss && !self.unclean && !self.damage {
            return Ok(());
        }
        let now = &shared.start;
        let now = format!("{} {} {}", now.losses, now.unclean_ends, now.damages);
        index.transaction(|transaction| {
            for folder in state.folders.values_mut().filter(|_| self.loss) {
                let ceiling = ModSeq::new(folder.identity.modseq_ceiling);
                let used = folder.row.highest_modseq > ModSeq::new(1);
                if used && folder.row.highest_modseq < ceiling {
                    folder.row.highest_modseq = ceiling;
                    transaction.set_mailbox(&folder.row)?;
                }
            }
            transaction.set_fact(START, &now)
        })?;
        Ok(())
    }
}
