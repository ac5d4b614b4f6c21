//! RETR and TOP: from the file to the socket, piece by piece.

use std::io;

use bytes::BytesMut;
use facteur_model::Uid;
use facteur_pop3::{DotStuffer, Message, ResponseCode};
use facteur_store::{MessageReader, StoreError};
use tracing::error;

use crate::session::Driver;

/// How much of a message is read in one trip over the bridge.
const PIECE: usize = 64 * 1024;

/// A message being sent.
struct Reading {
    reader: MessageReader,
    at: u64,
    stuffer: DotStuffer,
}

impl Driver {
    /// Sends a message, or the top of it. An error that comes when part of it is sent leaves no way
    /// to tell the client but to end the connection.
    pub(crate) async fn retrieve(
        &mut self,
        message: Message,
        lines: Option<u32>,
    ) -> io::Result<()> {
        let (Some(user), Some(uid)) = (&self.user, Uid::new(message.uid)) else {
            self.session.refuse(None, "No such message");
            return Ok(());
        };
        let bridge = self.service.bridge.clone();
        let mailbox = user.mailbox.clone();
        let stuffer = lines.map_or_else(DotStuffer::whole, DotStuffer::top);
        let whole = lines.is_none();
        let first = match mailbox.read_at_hand(uid) {
            Some(reader) => Reading::begun(reader, stuffer, whole),
            None => {
                let open = move || Reading::begun(mailbox.read(uid)?, stuffer, whole);
                bridge.run(open).await
            }
        };
        let (mut reading, mut piece) = match first {
            Ok(first) => first,
            Err(cause) => {
                self.refuse_message(message, &cause);
                return Ok(());
            }
        };
        self.session.begin_message(message, lines);
        while !reading.is_done() {
            self.flush().await?;
            let limit = self.service.options.write_timeout;
            self.connection.send(&mut piece, limit).await?;
            let next = bridge.run(move || {
                let piece = reading.piece();
                (reading, piece)
            });
            let (was, next) = next.await;
            (reading, piece) = (was, next?);
        }
        self.session.output().unsplit(piece);
        self.session.end_message(reading.stuffer);
        self.count(message, uid, whole);
        Ok(())
    }

    fn refuse_message(&mut self, message: Message, cause: &StoreError) {
        if matches!(cause, StoreError::Gone) {
            let text = "The message was removed in another session";
            return self.session.refuse(None, text);
        }
        error!(uid = message.uid, %cause, "message could not be read");
        let text = "The message cannot be read now";
        self.session.refuse(Some(ResponseCode::Temporary), text);
    }

    fn count(&mut self, message: Message, uid: Uid, whole: bool) {
        let Some(user) = &mut self.user else {
            return;
        };
        if whole {
            user.retrieved += 1;
            user.bytes += message.size;
            user.seen.insert(uid);
        }
    }
}

impl Reading {
    /// With the first piece of it.
    fn begun(
        reader: MessageReader,
        stuffer: DotStuffer,
        whole: bool,
    ) -> Result<(Self, BytesMut), StoreError> {
        if whole {
            // While the client can still be told.
            reader.check(reader.size())?;
        }
        let mut reading = Self {
            reader,
            at: 0,
            stuffer,
        };
        let piece = reading.piece()?;
        Ok((reading, piece))
    }

    fn is_done(&self) -> bool {
        self.left() == 0 || self.stuffer.is_done()
    }

    fn left(&self) -> u64 {
        self.reader.size().saturating_sub(self.at)
    }

    /// The next piece, ready to be sent.
    fn piece(&mut self) -> io::Result<BytesMut> {
        let wanted = usize::try_from(self.left()).map_or(PIECE, |left| left.min(PIECE));
        let mut out = BytesMut::with_capacity(wanted + wanted / 64 + 8);
        match self.reader.at_hand(self.at, wanted) {
            Some(bytes) => self.stuffer.push(bytes, &mut out),
            None => {
                let mut bytes = vec![0; wanted];
                self.reader.read_exact_at(&mut bytes, self.at)?;
                self.stuffer.push(&bytes, &mut out);
            }
        }
        self.at += wanted as u64;
        Ok(out)
    }
}
