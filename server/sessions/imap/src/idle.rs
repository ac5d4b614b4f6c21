//! IDLE (RFC 2177).

use std::sync::Arc;

use facteur_imap::{Line, Tag};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    io as wire,
    outcome::{Closed, Reply},
    session::Session,
};

/// `DONE` and not much more.
const MAX_DONE: usize = 64;

/// Why a wait ended.
enum Woken {
    Input,
    Changed,
    StillHere,
}

impl Session {
    /// Runs in the connection's own task, not in the larger one of a command: a thousand clients
    /// stay here for hours.
    pub(crate) async fn idle(&mut self, tag: &Tag) -> Result<(), Closed> {
        self.postpone();
        self.out.extend_from_slice(b"+ idling\r\n");
        let changed = self
            .user
            .as_ref()
            .and_then(|user| user.selected.as_ref())
            .map(|selected| Arc::clone(&selected.changed));
        let mut still_here = self.next_sign_of_life();
        let mut look = true;
        loop {
            if look {
                Box::pin(self.updates(true)).await?;
            }
            self.flush().await?;
            look = false;
            match self.woken(changed.as_deref(), still_here).await? {
                Woken::Changed => look = true,
                Woken::StillHere => {
                    self.out.extend_from_slice(b"* OK Still here\r\n");
                    still_here = self.next_sign_of_life();
                    // Some clients idle for hours. One that is gone does not take this, and goes.
                    self.postpone();
                }
                Woken::Input => match self.decoder.poll_line(MAX_DONE) {
                    Line::NeedMore => {}
                    Line::Whole(line) if line.expose().eq_ignore_ascii_case(b"DONE") => {
                        self.reply(tag, &Reply::ok("IDLE completed"));
                        return Ok(());
                    }
                    Line::Whole(_) => {
                        self.reply(tag, &Reply::bad("Expected DONE"));
                        return Ok(());
                    }
                    Line::TooLong => return Err(Closed::Bye("Expected DONE")),
                },
            }
        }
    }

    /// When the client is told next that we are still there; never without an interval.
    fn next_sign_of_life(&self) -> Option<Instant> {
        let interval = self.service.options.idle_notify_interval;
        (!interval.is_zero()).then(|| Instant::now() + interval)
    }

    async fn woken(
        &mut self,
        changed: Option<&Notify>,
        still_here: Option<Instant>,
    ) -> Result<Woken, Closed> {
        if !self.decoder.is_empty() {
            // DONE may have come with IDLE; half of it may be there.
            if memchr::memchr(b'\n', self.decoder.buffer()).is_some() {
                return Ok(Woken::Input);
            }
        }
        self.out = bytes::BytesMut::new();
        self.decoder.release();
        let deadline = self.deadline();
        let until = still_here.map_or(deadline, |at| at.min(deadline));
        let drain = self.connection.drain.clone();
        let read = wire::read(&mut self.connection.stream, &mut self.decoder);
        tokio::select! {
            biased;
            () = drain.requested() => Err(Closed::Bye("Server is shutting down")),
            () = notified(changed) => Ok(Woken::Changed),
            read = timeout_at(until, read) => match read {
                Ok(read) => read.map(|()| Woken::Input).map_err(Closed::Gone),
                Err(_) if still_here == Some(until) => Ok(Woken::StillHere),
                Err(_) => Err(Closed::Bye("Autologout; idle for too long")),
            },
        }
    }
}

/// Waits for a change; for ever when no mailbox is selected.
async fn notified(changed: Option<&Notify>) {
    match changed {
        Some(changed) => changed.notified().await,
        None => std::future::pending().await,
    }
}
