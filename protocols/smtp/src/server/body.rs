//! The message itself: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030 §2).

use super::{Asked, Event, Flavour, Mode, Session, reply_for};
use crate::{
    EnhancedStatus, Reply,
    command::Bdat,
    dot::{BodyFault, FaultScanner, Step, Unstuffer},
};

/// A message that is coming in.
#[derive(Debug, Default)]
pub(super) struct BodyState {
    received: u64,
    /// Why it will not be accepted: the rest is swallowed.
    refusal: Option<Reply>,
    scanner: FaultScanner,
    /// The line ends were not CRLF: what follows the message may be part of it to the client.
    out_of_step: bool,
}

/// The octets after a BDAT.
#[derive(Debug)]
pub(super) struct Chunk {
    size: u64,
    left: u64,
    last: bool,
    /// Out of order: the octets are swallowed and this is said.
    refusal: Option<Reply>,
}

impl Chunk {
    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }
}

impl Session {
    pub(super) fn on_data_command(&mut self) -> Option<Event> {
        match &self.transaction {
            None => self.reply(&reply_for::bad_sequence("Need MAIL command")),
            Some(transaction) if transaction.body.is_some() => {
                self.reply(&reply_for::bad_sequence("BDAT and DATA do not mix"));
            }
            Some(transaction) if transaction.accepted == 0 => {
                self.reply(&reply_for::no_recipients(self.options.flavour));
            }
            Some(_) => {
                self.asked = Asked::BodyStart;
                let pipelined = !self.input.is_empty();
                return Some(Event::BodyStart { pipelined });
            }
        }
        None
    }

    pub(super) fn on_bdat(&mut self, bdat: Bdat) -> Option<Event> {
        let refusal = match &self.transaction {
            None => Some(reply_for::bad_sequence("Need MAIL command")),
            Some(transaction) if transaction.accepted == 0 => {
                Some(reply_for::no_recipients(self.options.flavour))
            }
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            self.swallow(bdat, refusal);
            return None;
        }
        self.begin_chunk(bdat, None);
        let begun = self.transaction.as_ref().is_some_and(|t| t.body.is_some());
        if begun {
            return None;
        }
        self.asked = Asked::BodyStart;
        Some(Event::BodyStart { pipelined: false })
    }

    /// Reads over a chunk that is out of order: its octets are there all the same.
    pub(super) fn swallow(&mut self, bdat: Bdat, refusal: Reply) {
        self.begin_chunk(bdat, Some(refusal));
    }

    fn begin_chunk(&mut self, bdat: Bdat, refusal: Option<Reply>) {
        self.mode = Mode::Chunk(Chunk {
            size: bdat.size,
            left: bdat.size,
            last: bdat.last,
            refusal,
        });
    }

    /// Answers [`Event::BodyStart`]: the message may come.
    pub fn accept_body(&mut self) {
        self.asked = Asked::Nothing;
        if let Some(transaction) = &mut self.transaction {
            transaction.body = Some(BodyState::default());
        }
        if !matches!(self.mode, Mode::Chunk(_)) {
            self.mode = Mode::Data(Unstuffer::default());
            self.reply(&Reply::plain(354, "End data with <CR><LF>.<CR><LF>"));
        }
    }

    pub(super) fn refuse_body_start(&mut self, reply: Reply) {
        if let Mode::Chunk(_) = self.mode {
            if let Some(transaction) = &mut self.transaction {
                transaction.body = Some(BodyState {
                    refusal: Some(reply),
                    ..BodyState::default()
                });
            }
        } else {
            self.transaction = None;
            self.reply(&reply);
        }
    }

    /// Refuses the message while it comes in (the disk is full): the rest is swallowed, and `reply`
    /// is said at its end. No [`Event::Refused`] follows.
    pub fn refuse_body(&mut self, reply: Reply) {
        if let Some(body) = self.transaction.as_mut().and_then(|t| t.body.as_mut()) {
            body.refusal.get_or_insert(reply);
        }
    }

    pub(super) fn on_data(&mut self, step: Step) -> Option<Event> {
        match step {
            Step::Starved => None,
            Step::Chunk(bytes) => self.on_body(bytes),
            Step::Fault { fault, text } => {
                let body = self.transaction.as_mut()?.body.as_mut()?;
                body.out_of_step |= fault != BodyFault::Nul;
                self.on_fault(fault, text, text + 1)
            }
            Step::End => {
                self.mode = Mode::Command;
                self.on_end()
            }
        }
    }

    pub(super) fn on_chunk(&mut self) -> Option<Event> {
        let Mode::Chunk(chunk) = &mut self.mode else {
            return None;
        };
        if chunk.left > 0 {
            let bytes = self
                .input
                .take(usize::try_from(chunk.left).unwrap_or(usize::MAX));
            chunk.left -= bytes.len() as u64;
            if chunk.refusal.is_some() {
                return None;
            }
            let body = self.transaction.as_mut()?.body.as_mut()?;
            if let Err((text, fault)) = body.scanner.scan(&bytes) {
                return self.on_fault(fault, text, bytes.len());
            }
            return self.on_body(bytes);
        }
        let (size, last, refusal) = (chunk.size, chunk.last, chunk.refusal.take());
        self.mode = Mode::Command;
        if let Some(refusal) = refusal {
            self.reply(&refusal);
            return None;
        }
        let body = self.transaction.as_mut()?.body.as_mut()?;
        if !last {
            let done = Reply::new(
                250,
                EnhancedStatus::new(2, 0, 0),
                format!("{size} octets received"),
            );
            let reply = body.refusal.clone().unwrap_or(done);
            self.reply(&reply);
            return None;
        }
        match body.scanner.finish() {
            Err(fault) if body.refusal.is_none() => {
                // The transaction ends here, so that nothing is left to be swallowed.
                let reply = reply_for::body_fault(fault);
                self.end_transaction(|_| reply.clone());
                Some(Event::Refused(reply))
            }
            _ => self.on_end(),
        }
    }

    /// A piece of the message came: it is handed on, unless the message is refused or too large.
    fn on_body(&mut self, bytes: bytes::Bytes) -> Option<Event> {
        let limit = self.options.message_size_limit;
        let body = self.transaction.as_mut()?.body.as_mut()?;
        body.received += bytes.len() as u64;
        if self.is_endless() {
            return None;
        }
        let body = self.transaction.as_mut()?.body.as_mut()?;
        if body.refusal.is_some() {
            return None;
        }
        if limit != 0 && body.received > limit {
            return self.fail_body(reply_for::too_large(limit));
        }
        Some(Event::Body(bytes))
    }

    /// Refuses the message for a fault after `text` octets of `length` that came together, unless it
    /// was too large before.
    fn on_fault(&mut self, fault: BodyFault, text: usize, length: usize) -> Option<Event> {
        let limit = self.options.message_size_limit;
        let body = self.transaction.as_mut()?.body.as_mut()?;
        let before = body.received + text as u64;
        body.received += length as u64;
        if limit != 0 && before > limit {
            return self.fail_body(reply_for::too_large(limit));
        }
        self.fail_body(reply_for::body_fault(fault))
    }

    /// Refuses the message, for the first reason found.
    fn fail_body(&mut self, reply: Reply) -> Option<Event> {
        if self.is_endless() {
            return None;
        }
        let body = self.transaction.as_mut()?.body.as_mut()?;
        if body.refusal.is_some() {
            return None;
        }
        body.refusal = Some(reply.clone());
        Some(Event::Refused(reply))
    }

    /// A message twice over the limit was refused long ago and does not end: the connection does.
    fn is_endless(&mut self) -> bool {
        let limit = self.options.message_size_limit;
        let body = self.transaction.as_ref().and_then(|t| t.body.as_ref());
        let received = body.map_or(0, |body| body.received);
        let endless = limit != 0 && received > limit.saturating_mul(2).saturating_add(1 << 20);
        if endless {
            self.close_with(&reply_for::too_large(limit));
        }
        endless
    }

    fn on_end(&mut self) -> Option<Event> {
        let body = self.transaction.as_mut()?.body.as_mut()?;
        let out_of_step = body.out_of_step;
        if let Some(refusal) = body.refusal.take() {
            self.end_transaction(|_| refusal.clone());
            if out_of_step {
                self.close();
            }
            return None;
        }
        self.asked = Asked::EndOfMessage;
        Some(Event::EndOfMessage)
    }

    /// Ends the transaction with the reply of each recipient, or with one for all.
    pub(super) fn end_transaction(&mut self, reply_to: impl Fn(usize) -> Reply) {
        let Some(transaction) = self.transaction.take() else {
            return;
        };
        let replies = match self.options.flavour {
            Flavour::Lmtp => transaction.accepted,
            Flavour::Smtp | Flavour::Submission => 1,
        };
        let mut accepted = false;
        for n in 0..replies {
            let reply = reply_to(n);
            accepted |= reply.is_positive();
            reply.encode(&mut self.output);
        }
        if accepted {
            self.junk = 0;
        } else {
            self.count_error();
        }
    }
}
