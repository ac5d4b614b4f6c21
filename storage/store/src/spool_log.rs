//! The journal as the spool sees it.

use std::{fmt, io, sync::Arc};

use facteur_spool::{Logged, SpoolError};

use crate::{
    StoreError,
    log::Log,
    record::{Record, SpoolRecord},
};

/// Makes the spool's changes durable in the journal.
pub(crate) struct SpoolLog {
    pub(crate) log: Arc<Log>,
}

impl fmt::Debug for SpoolLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpoolLog")
    }
}

impl facteur_spool::Log for SpoolLog {
    fn logged(
        &self,
        change: Logged<'_>,
        apply: &mut dyn FnMut() -> Result<(), SpoolError>,
    ) -> Result<(), SpoolError> {
        let change = match change {
            Logged::Update(id, change) => SpoolRecord::Update {
                id: id.as_str().to_owned(),
                change: serde_json::to_vec(change).map_err(io::Error::from)?,
            },
            Logged::Remove(id) => SpoolRecord::Remove {
                id: id.as_str().to_owned(),
            },
        };
        let record = Record {
            spool: vec![change],
            ..Record::default()
        };
        let _entered = self.log.enter().map_err(as_io)?;
        let ticket = self.log.append(&record, &[]).map_err(as_io)?;
        self.log.wait(ticket).map_err(as_io)?;
        let applied = apply();
        match &applied {
            Ok(()) | Err(SpoolError::Gone) => {}
            // It will be done: with the next checkpoint or at the next start.
            Err(_) => self.log.spool_unsettled(),
        }
        applied
    }
}

fn as_io(error: StoreError) -> SpoolError {
    SpoolError::Io(match error {
        StoreError::Io(error) => error,
        StoreError::NoSpace => io::ErrorKind::StorageFull.into(),
        other => io::Error::other(other),
    })
}
