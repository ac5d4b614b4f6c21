//! The side that sends: SMTP (RFC 5321) and LMTP (RFC 2033) as a state machine.
//!
//! The driver reads into [`Client::input`], calls [`Client::next_event`] until it gives nothing more, and
//! writes what is in [`Client::output`]. What it wants it says with [`Client::start_tls`],
//! [`Client::send`], [`Client::body`] and [`Client::quit`]; which host to talk to, and what to do
//! about an outcome, is the caller's.

mod capabilities;
mod event;
mod message;
mod transaction;

use std::{collections::VecDeque, time::Duration};

use bytes::BytesMut;
use facteur_wire::LineBuffer;

pub use capabilities::Capabilities;
pub use event::{Broken, Dialect, Event, Outcome};
pub use message::Message;
use transaction::{Transaction, Verdict};

use crate::{EnhancedStatus, Reply, ReplyReader, command::Command, dot::Stuffer};

/// What the next reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Reset,
    Mail,
    Rcpt(usize),
    Data,
    /// The end of the data: of recipient `n` (LMTP), or of all.
    End(Option<usize>),
    Quit,
}

/// One session.
#[derive(Debug)]
pub struct Client {
    dialect: Dialect,
    helo: String,
    input: LineBuffer,
    reader: ReplyReader,
    lines: usize,
    output: BytesMut,
    expected: VecDeque<Expect>,
    capabilities: Capabilities,
    greeting: String,
    transaction: Option<Transaction>,
    stuffer: Option<Stuffer>,
    needs_reset: bool,
    closing: bool,
}

impl Client {
    /// Longest reply line taken. RFC 5321 §4.5.3.1.5 says 512; some say more.
    const MAX_LINE: usize = 4096;
    /// Most lines of one reply.
    const MAX_LINES: usize = 512;

    /// A session that waits for the greeting; `helo` is our name.
    pub fn new(dialect: Dialect, helo: &str) -> Self {
        Self {
            dialect,
            helo: helo.to_owned(),
            input: LineBuffer::new(),
            reader: ReplyReader::default(),
            lines: 0,
            output: BytesMut::new(),
            expected: VecDeque::from([Expect::Greeting]),
            capabilities: Capabilities::default(),
            greeting: String::new(),
            transaction: None,
            stuffer: None,
            needs_reset: false,
            closing: false,
        }
    }

    /// Where to read into.
    pub fn input(&mut self) -> &mut LineBuffer {
        &mut self.input
    }

    /// What is to be written.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// What the peer offers.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// What the peer calls itself in its greeting.
    pub fn greeting(&self) -> &str {
        &self.greeting
    }

    /// Whether another message can be sent on this session.
    pub fn is_idle(&self) -> bool {
        !self.closing && self.transaction.is_none() && self.expected.is_empty()
    }

    /// How long to wait for the peer at most (RFC 5321 §4.5.3.2).
    pub fn patience(&self) -> Duration {
        Duration::from_secs(match self.expected.front() {
            Some(Expect::Data) => 120,
            Some(Expect::End(_)) => 600,
            // §4.5.3.2.5: while a block of the message is written.
            None => 180,
            Some(_) => 300,
        })
    }

    /// Asks for TLS; between [`Event::Ready`] and the first message.
    pub fn start_tls(&mut self) {
        self.command(&Command::StartTls, Expect::StartTls);
    }

    /// TLS is up: whatever was read before it is dropped, and the peer is asked again what it
    /// offers (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.input.clear();
        self.reader = ReplyReader::default();
        self.capabilities = Capabilities::default();
        self.hello();
    }

    /// Begins a message. With PIPELINING (RFC 2920) everything up to DATA goes out at once.
    /// Only when [`Client::is_idle`].
    pub fn send(&mut self, message: Message) {
        let transaction = Transaction::new(message, &self.capabilities);
        let decided = transaction.is_decided();
        self.transaction = Some(transaction);
        if decided {
            return;
        }
        if std::mem::take(&mut self.needs_reset) {
            self.command(&Command::Rset, Expect::Reset);
            if !self.capabilities.pipelining {
                return;
            }
        }
        self.begin();
    }

    fn begin(&mut self) {
        let Some(mut transaction) = self.transaction.take_if(|t| !t.is_begun()) else {
            return;
        };
        self.command(
            &Command::Mail(transaction.begin(&self.capabilities)),
            Expect::Mail,
        );
        if self.capabilities.pipelining {
            for (n, rcpt) in transaction.rcpts().enumerate() {
                self.command(&Command::Rcpt(rcpt), Expect::Rcpt(n));
            }
            self.command(&Command::Data, Expect::Data);
        }
        self.transaction = Some(transaction);
    }

    /// A piece of the message, after [`Event::BodyWanted`].
    pub fn body(&mut self, bytes: &[u8]) {
        if let Some(stuffer) = &mut self.stuffer {
            stuffer.push(bytes, &mut self.output);
        }
    }

    /// The message is complete.
    pub fn end_body(&mut self) {
        let (Some(stuffer), Some(transaction)) = (self.stuffer.take(), &self.transaction) else {
            return;
        };
        stuffer.finish(&mut self.output);
        match self.dialect {
            Dialect::Smtp => self.expected.push_back(Expect::End(None)),
            Dialect::Lmtp => {
                let ends = transaction.open().map(|n| Expect::End(Some(n)));
                self.expected.extend(ends);
            }
        }
    }

    /// Says goodbye.
    pub fn quit(&mut self) {
        self.closing = true;
        self.command(&Command::Quit, Expect::Quit);
    }

    /// The connection is gone, or given up. What came of each recipient of the message under way:
    /// whoever has no final answer may be tried again, even when the end of the data was sent.
    pub fn lost(&mut self, why: &str) -> Option<Vec<Outcome>> {
        self.closing = true;
        let stage = match self.expected.front() {
            None | Some(Expect::Greeting | Expect::Ehlo | Expect::Helo) => "while beginning",
            Some(Expect::Mail | Expect::Reset) => "while sending MAIL",
            Some(Expect::Rcpt(_)) => "while sending RCPT",
            Some(Expect::Data) => "while sending DATA",
            Some(Expect::End(_)) => "while sending end of data",
            Some(_) => "while closing",
        };
        let stage = if self.stuffer.is_some() {
            "while sending the message"
        } else {
            stage
        };
        let reply = Reply::new(421, EnhancedStatus::new(4, 4, 2), format!("{why} {stage}"));
        Some(self.transaction.take()?.into_outcomes(reply))
    }

    /// The next thing that happened; `None` until more is read.
    ///
    /// # Errors
    /// [`Broken`]: the connection is of no use then; see [`Client::lost`].
    pub fn next_event(&mut self) -> Result<Option<Event>, Broken> {
        if self.expected.is_empty()
            && let Some(transaction) = self.transaction.take_if(|t| t.is_decided())
        {
            return Ok(Some(Event::Finished(transaction.into_decided())));
        }
        while let Some(reply) = self.reply()? {
            if let Some(event) = self.take(reply)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn reply(&mut self) -> Result<Option<Reply>, Broken> {
        loop {
            let line = self.input.take_line(Self::MAX_LINE);
            let line = line.map_err(|error| match error {
                facteur_wire::LineError::TooLong => Broken::TooLong,
                _ => Broken::Malformed,
            })?;
            let Some(line) = line else { return Ok(None) };
            self.lines += 1;
            if self.lines > Self::MAX_LINES {
                return Err(Broken::TooLong);
            }
            if let Some(reply) = self.reader.push_line(&line)? {
                self.lines = 0;
                return Ok(Some(reply));
            }
        }
    }

    fn take(&mut self, reply: Reply) -> Result<Option<Event>, Broken> {
        // 421: "service shutting down", at any time (RFC 5321 §3.8).
        self.closing |= reply.code() == 421;
        let Some(expect) = self.expected.pop_front() else {
            if self.stuffer.is_some() {
                return self.take_too_early(reply);
            }
            return if self.closing {
                Ok(Some(Event::Closed))
            } else {
                Err(Broken::Unexpected)
            };
        };
        Ok(match expect {
            Expect::Greeting if reply.is_positive() => {
                let name = reply.text().split_ascii_whitespace().next();
                self.greeting = name.unwrap_or_default().to_owned();
                self.hello();
                None
            }
            Expect::Ehlo if reply.is_positive() => {
                self.capabilities = Capabilities::parse(reply.text());
                Some(Event::Ready)
            }
            // RFC 5321 §3.2: an old server.
            Expect::Ehlo if reply.is_permanent() && self.dialect == Dialect::Smtp => {
                self.command(&Command::Helo(self.helo.clone()), Expect::Helo);
                None
            }
            Expect::Helo if reply.is_positive() => Some(Event::Ready),
            Expect::Greeting | Expect::Ehlo | Expect::Helo => {
                self.closing = true;
                Some(Event::Refused(reply))
            }
            Expect::StartTls if reply.is_positive() => Some(Event::TlsGoAhead),
            Expect::StartTls => Some(Event::TlsRefused(reply)),
            Expect::Quit => Some(Event::Closed),
            Expect::Reset => {
                self.begin();
                None
            }
            Expect::Mail | Expect::Rcpt(_) | Expect::Data | Expect::End(_) => {
                self.take_for_transaction(expect, reply)
            }
        })
    }

    /// An answer in the middle of the message: the peer gives up.
    fn take_too_early(&mut self, reply: Reply) -> Result<Option<Event>, Broken> {
        self.closing = true;
        if !reply.is_transient() && !reply.is_permanent() {
            return Err(Broken::Unexpected);
        }
        self.stuffer = None;
        let Some(mut transaction) = self.transaction.take() else {
            return Ok(Some(Event::Closed));
        };
        transaction.end_answered(None, reply);
        Ok(Some(Event::Finished(transaction.into_decided())))
    }

    fn take_for_transaction(&mut self, expect: Expect, reply: Reply) -> Option<Event> {
        let transaction = self.transaction.as_mut()?;
        let verdict = match expect {
            Expect::Mail => transaction.mail_answered(reply),
            Expect::Rcpt(n) => transaction.rcpt_answered(n, reply),
            Expect::Data => transaction.data_answered(reply),
            Expect::End(n) => transaction.end_answered(n, reply),
            _ => return None,
        };
        match verdict {
            Verdict::SendBody => {
                self.stuffer = Some(Stuffer::default());
                return Some(Event::BodyWanted);
            }
            // RFC 2033 §4.2: a peer must not take DATA without a recipient, and would answer the end
            // of it for nobody: we hang up.
            Verdict::SendNothing if self.dialect == Dialect::Lmtp => self.closing = true,
            // RFC 2920 §3.1: the peer took DATA without a recipient; an empty message ends it.
            Verdict::SendNothing => {
                Stuffer::default().finish(&mut self.output);
                self.expected.push_back(Expect::End(None));
            }
            Verdict::NeedsReset => self.needs_reset = true,
            Verdict::GoOn => {}
        }
        if !self.expected.is_empty() {
            return None;
        }
        let transaction = self.transaction.take_if(|t| t.is_decided());
        if let Some(transaction) = transaction {
            return Some(Event::Finished(transaction.into_decided()));
        }
        self.step();
        None
    }

    /// Without PIPELINING: the next command.
    fn step(&mut self) {
        let Some(transaction) = &mut self.transaction else {
            return;
        };
        if let Some((n, rcpt)) = transaction.next_rcpt() {
            self.command(&Command::Rcpt(rcpt), Expect::Rcpt(n));
        } else {
            self.command(&Command::Data, Expect::Data);
        }
    }

    fn hello(&mut self) {
        let name = self.helo.clone();
        let command = match self.dialect {
            Dialect::Smtp => Command::Ehlo(name),
            Dialect::Lmtp => Command::Lhlo(name),
        };
        self.command(&command, Expect::Ehlo);
    }

    fn command(&mut self, command: &Command, expect: Expect) {
        command.encode(&mut self.output);
        self.expected.push_back(expect);
    }
}

#[cfg(test)]
mod tests;
