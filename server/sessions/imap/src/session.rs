//! One connection from greeting to end.

use std::{io, sync::Arc};

use bytes::BytesMut;
use facteur_imap::{Command, Decoder, Event, Limits, Tag, write};
use facteur_runtime::Connection;
use facteur_store::Account;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, info};

use crate::{
    io as wire,
    outcome::{Closed, Outcome, Reply, Stop},
    selected::Selected,
    service::ImapService,
    slots::Slot,
};

/// Longest line and literals before login: nobody needs more for a name, a password or a SASL
/// response (RFC 4954 §4 has the longest, 12288 octets).
const BEFORE_LOGIN: Limits = Limits {
    line: 16 * 1024,
    literals: 8 * 1024,
};
/// Argument literals after login, together: long SEARCH strings, mailbox names.
const MAX_LITERALS: usize = 64 * 1024;
/// So many commands in a row that were none end the connection.
const MAX_BAD_COMMANDS: u8 = 20;

/// A connection.
pub(crate) struct Session {
    pub(crate) service: Arc<ImapService>,
    pub(crate) connection: Connection,
    pub(crate) decoder: Decoder,
    pub(crate) out: BytesMut,
    pub(crate) user: Option<Box<User>>,
    pub(crate) failed_logins: u8,
    bad_commands: u8,
    /// When the client is logged out if no command comes.
    deadline: Instant,
}

/// Who has logged in.
pub(crate) struct User {
    /// For the log.
    pub(crate) name: String,
    pub(crate) account: Account,
    pub(crate) selected: Option<Selected>,
    /// Whether the client has used something of CONDSTORE (RFC 7162 §3.1).
    pub(crate) condstore: bool,
    pub(crate) _slot: Slot,
}

impl Session {
    pub(crate) fn new(service: Arc<ImapService>, connection: Connection) -> Self {
        let deadline = Instant::now() + service.options.login_timeout;
        Self {
            service,
            connection,
            decoder: Decoder::new(BEFORE_LOGIN),
            out: BytesMut::new(),
            user: None,
            failed_logins: 0,
            bad_commands: 0,
            deadline,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.greet();
        let closed = loop {
            match self.step().await {
                Ok(()) => {}
                Err(closed) => break closed,
            }
        };
        self.end(closed).await;
    }

    fn greet(&mut self) {
        let text = format!("[CAPABILITY {}] Facteur ready", self.capabilities());
        write::status(&mut self.out, None, write::Condition::Ok, &text);
    }

    async fn step(&mut self) -> Result<(), Closed> {
        match self.next_event().await? {
            Event::NeedMore | Event::Chunk(_) | Event::AppendEnd => {}
            Event::Continue => self.out.extend_from_slice(b"+ OK\r\n"),
            Event::Command(tag, Command::Idle) if self.user.is_some() => {
                self.count_command(false)?;
                self.idle(&tag).await?;
            }
            Event::Command(tag, command) => Box::pin(self.command(&tag, command)).await?,
            Event::Append(head) => {
                let tag = head.tag.clone();
                let outcome = Box::pin(self.append(head)).await;
                Box::pin(self.conclude(&tag, outcome, true)).await?;
            }
            Event::Invalid(tag, text) => {
                write::status(&mut self.out, tag.as_ref(), write::Condition::Bad, &text);
                self.count_command(true)?;
            }
            Event::Fatal(text) => return Err(Closed::Bye(text)),
        }
        self.postpone();
        if self.out.len() >= wire::FLUSH_AT {
            self.flush().await?;
        }
        Ok(())
    }

    async fn command(&mut self, tag: &Tag, command: Command) -> Result<(), Closed> {
        // RFC 3501 §7.4.1: no EXPUNGE while sequence numbers are in use.
        let expunge_allowed = !matches!(
            &command,
            Command::Fetch(facteur_imap::Fetch { uid: false, .. })
                | Command::Store(facteur_imap::Store { uid: false, .. })
                | Command::Search(facteur_imap::Search { uid: false, .. })
        );
        let outcome = self.dispatch(tag, command).await;
        self.conclude(tag, outcome, expunge_allowed).await
    }

    /// Tells what changed meanwhile, then how the command ended.
    async fn conclude(
        &mut self,
        tag: &Tag,
        outcome: Outcome,
        expunge_allowed: bool,
    ) -> Result<(), Closed> {
        let reply = match outcome {
            Ok(reply) | Err(Stop::Reply(reply)) => reply,
            Err(Stop::Answered) => return Ok(()),
            Err(Stop::Closed(closed)) => return Err(closed),
        };
        self.updates(expunge_allowed).await?;
        self.reply(tag, &reply);
        self.count_command(reply.condition == write::Condition::Bad)
    }

    pub(crate) fn reply(&mut self, tag: &Tag, reply: &Reply) {
        write::status(&mut self.out, Some(tag), reply.condition, &reply.text);
    }

    /// An untagged OK; `text` begins with its response code.
    pub(crate) fn untagged_ok(&mut self, text: &str) {
        write::status(&mut self.out, None, write::Condition::Ok, text);
    }

    fn count_command(&mut self, bad: bool) -> Result<(), Closed> {
        self.bad_commands = if bad { self.bad_commands + 1 } else { 0 };
        if self.bad_commands >= MAX_BAD_COMMANDS {
            return Err(Closed::Bye("Too many invalid commands"));
        }
        Ok(())
    }

    /// Gives the client its full time again, once it has logged in.
    pub(crate) fn postpone(&mut self) {
        if self.user.is_some() {
            self.deadline = Instant::now() + self.service.options.autologout;
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// After login: more room, more time.
    pub(crate) fn logged_in(&mut self) {
        self.decoder.set_limits(Limits {
            line: self.service.options.max_line_length,
            literals: MAX_LITERALS,
        });
        self.postpone();
    }

    async fn next_event(&mut self) -> Result<Event, Closed> {
        loop {
            match self.decoder.poll() {
                Event::NeedMore => self.wait().await?,
                event => return Ok(event),
            }
        }
    }

    /// Waits for input, with everything written and no buffer kept.
    pub(crate) async fn wait(&mut self) -> Result<(), Closed> {
        self.flush().await?;
        self.out = BytesMut::new();
        self.decoder.release();
        let drain = self.connection.drain.clone();
        let read = wire::read(&mut self.connection.stream, &mut self.decoder);
        tokio::select! {
            biased;
            () = drain.requested() => Err(Closed::Bye("Server is shutting down")),
            read = timeout_at(self.deadline, read) => match read {
                Ok(read) => read.map_err(Closed::Gone),
                Err(_) => Err(Closed::Bye("Autologout; idle for too long")),
            },
        }
    }

    pub(crate) async fn flush(&mut self) -> Result<(), Closed> {
        let patience = self.service.options.write_timeout;
        wire::flush(&mut self.connection.stream, &mut self.out, patience)
            .await
            .map_err(Closed::Gone)
    }

    async fn end(mut self, closed: Closed) {
        let user = self.user.as_ref().map_or("", |user| user.name.as_str());
        match &closed {
            Closed::Gone(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                info!(user, "imap connection closed by the client");
            }
            Closed::Gone(cause) => info!(user, %cause, "imap connection lost"),
            Closed::Bye(why) => info!(user, why, "imap connection closed"),
            Closed::Logout => info!(user, "imap logout"),
        }
        // The watcher, the account and the slot go before a slow client's goodbye.
        self.user = None;
        if let Closed::Bye(why) = closed {
            self.out.extend_from_slice(b"* BYE ");
            write::text(&mut self.out, why);
            self.out.extend_from_slice(b"\r\n");
        }
        if !matches!(closed, Closed::Gone(_)) {
            let farewell = async {
                self.flush().await.ok();
                let stream = &mut self.connection.stream;
                tokio::io::AsyncWriteExt::shutdown(stream).await.ok();
            };
            let patience = std::time::Duration::from_secs(10);
            if tokio::time::timeout(patience, farewell).await.is_err() {
                debug!("client did not take our goodbye");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<F: Future>(_: impl FnOnce(Session) -> F) -> usize {
        size_of::<F>()
    }

    /// A connection that waits has this, its socket, and nothing else.
    #[test]
    fn waiting_connection_is_small() {
        let size = size_of_future(Session::run);
        assert!(size <= 4096, "{size}");
    }
}
