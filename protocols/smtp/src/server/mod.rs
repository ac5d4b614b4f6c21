//! The receiving side of a connection, as a state machine without I/O.
//!
//! Bytes go into [`Session::input`]; [`Session::next_event`] says what they mean; replies pile up in
//! [`Session::output`], so that a pipelined group of commands is answered in one write
//! (RFC 2920 §3.2). The session knows the grammar, the order of commands and the limits; everything
//! else it asks the driver.

mod body;
mod event;
mod hello;
mod options;
mod reply_for;
mod verbs;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use facteur_wire::{LineBuffer, LineError, Secret};

use crate::{
    Command, EnhancedStatus, Reply,
    command::CommandError,
    dot::{Step, Unstuffer},
};

use body::{BodyState, Chunk};
pub use event::Event;
pub use options::{Channel, Flavour, Options};

/// Longest command line in octets, without CRLF. RFC 5321 §4.5.3.1.4 asks for 512, parameters for
/// some more.
const COMMAND_LIMIT: usize = 2048;
/// Longest line of an AUTH exchange, its command included (RFC 4954 §4 asks for 12288).
const AUTH_LIMIT: usize = 12_288 + 32;

/// One connection's session.
#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    channel: Channel,
    input: LineBuffer,
    output: BytesMut,
    mode: Mode,
    asked: Asked,
    /// EHLO, LHLO or HELO was accepted.
    greeted: bool,
    authenticated: bool,
    transaction: Option<Transaction>,
    errors: u32,
    junk: u32,
    has_quit: bool,
}

/// What the next input is.
#[derive(Debug)]
enum Mode {
    Command,
    /// A SASL response.
    Auth,
    /// The text after a 354.
    Data(Unstuffer),
    /// The octets after a BDAT.
    Chunk(Chunk),
    /// Ours no more: TLS is about to begin.
    Handshake,
    /// None; [`Event::Close`] was told or not.
    Closed {
        told: bool,
    },
}

/// Which answer the driver owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Nothing,
    Hello { extended: bool },
    Auth,
    Mail,
    Rcpt,
    BodyStart,
    EndOfMessage,
}

/// What MAIL began.
#[derive(Debug, Default)]
struct Transaction {
    accepted: usize,
    /// RCPTs over the limit.
    overshoot: usize,
    body: Option<BodyState>,
}

impl Session {
    /// A session on a fresh connection; the greeting is in the output.
    pub fn new(options: Arc<Options>, channel: Channel) -> Self {
        let mut session = Self::bare(options, channel);
        session.greet();
        session
    }

    /// The session that follows after STARTTLS: nothing of this one survives but its options, and
    /// so nothing that was sent in clear (RFC 3207 §4.2).
    #[must_use]
    pub fn after_tls(self, channel: Channel) -> Self {
        Self::bare(self.options, channel)
    }

    fn bare(options: Arc<Options>, channel: Channel) -> Self {
        Self {
            options,
            channel,
            input: LineBuffer::new(),
            output: BytesMut::new(),
            mode: Mode::Command,
            asked: Asked::Nothing,
            greeted: false,
            authenticated: false,
            transaction: None,
            errors: 0,
            junk: 0,
            has_quit: false,
        }
    }

    /// Where input goes.
    pub fn input(&mut self) -> &mut LineBuffer {
        &mut self.input
    }

    /// What is to be written; the driver takes from it what it has written.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether a MAIL was accepted and the transaction is not over.
    pub fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Whether the message itself is coming in: large reads pay then.
    pub fn in_body(&self) -> bool {
        matches!(self.mode, Mode::Data(_) | Mode::Chunk(_))
    }

    /// How many commands were refused so far.
    pub fn errors(&self) -> u32 {
        self.errors
    }

    /// Whether the client said QUIT: it reads our last reply, while one that is hung up on may be
    /// writing still.
    pub fn has_quit(&self) -> bool {
        self.has_quit
    }

    /// The next thing the client did. `None`: more input is needed, or the driver owes an answer.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if self.asked != Asked::Nothing {
                return None;
            }
            let event = match &mut self.mode {
                Mode::Command => {
                    let line = self.input.take_line(AUTH_LIMIT);
                    self.on_line(line.transpose()?)
                }
                Mode::Auth => {
                    let line = self.input.take_line(AUTH_LIMIT);
                    self.on_response(line.transpose()?)
                }
                Mode::Data(unstuffer) => {
                    let step = unstuffer.next(&mut self.input);
                    if step == Step::Starved {
                        return None;
                    }
                    self.on_data(step)
                }
                Mode::Chunk(chunk) => {
                    if self.input.is_empty() && !chunk.is_over() {
                        return None;
                    }
                    self.on_chunk()
                }
                Mode::Handshake => return None,
                Mode::Closed { told } => {
                    self.input.clear();
                    return (!std::mem::replace(told, true)).then_some(Event::Close);
                }
            };
            if event.is_some() {
                return event;
            }
        }
    }

    /// Answers the event that asked.
    pub fn answer(&mut self, reply: Reply) {
        let positive = reply.is_positive();
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::BodyStart => return self.refuse_body_start(reply),
            Asked::EndOfMessage => return self.end_transaction(|_| reply.clone()),
            Asked::Mail if positive => self.transaction = Some(Transaction::default()),
            Asked::Rcpt if positive => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.accepted += 1;
                }
            }
            Asked::Auth => {
                self.mode = Mode::Command;
                self.authenticated |= positive;
            }
            _ => {}
        }
        self.reply(&reply);
    }

    /// Answers [`Event::EndOfMessage`] of LMTP: one reply per recipient that was accepted.
    pub fn answer_each(&mut self, replies: &[Reply]) {
        self.asked = Asked::Nothing;
        let lost = Reply::new(451, EnhancedStatus::new(4, 3, 0), "Internal error");
        self.end_transaction(|n| replies.get(n).unwrap_or(&lost).clone());
    }

    /// Answers [`Event::Auth`] or [`Event::AuthResponse`]: goes on with the exchange. `challenge`
    /// is base64 already.
    pub fn challenge(&mut self, challenge: &str) {
        self.asked = Asked::Nothing;
        self.mode = Mode::Auth;
        // Not a Reply: a challenge may be longer than a reply line and is never folded.
        self.output.extend_from_slice(b"334 ");
        self.output.extend_from_slice(challenge.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Says `reply` and closes, whatever the state: the server is stopping, or time is up.
    pub fn close_with(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        self.close();
    }

    fn close(&mut self) {
        self.mode = Mode::Closed { told: false };
        self.asked = Asked::Nothing;
        self.transaction = None;
    }

    fn on_line(&mut self, line: Result<Bytes, LineError>) -> Option<Event> {
        let line = match line {
            Ok(line) => line,
            Err(error) => return self.on_bad_line(error),
        };
        let is_auth = line
            .get(..5)
            .is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if line.len() > COMMAND_LIMIT && !is_auth {
            return self.on_bad_line(LineError::TooLong);
        }
        match Command::parse(&line) {
            Ok(command) => self.on_command(command),
            Err(error) => {
                self.reply(&reply_for::command_error(error));
                if error == CommandError::ForeignProtocol {
                    self.close();
                }
                None
            }
        }
    }

    fn on_bad_line(&mut self, error: LineError) -> Option<Event> {
        self.mode = Mode::Command;
        self.reply(&reply_for::line_error(error));
        if error != LineError::TooLong {
            // What follows may be meant for a reader with other line ends than ours.
            self.close();
        }
        None
    }

    fn on_response(&mut self, line: Result<Bytes, LineError>) -> Option<Event> {
        match line {
            Ok(line) => {
                self.asked = Asked::Auth;
                Some(Event::AuthResponse(Secret::new(line.to_vec())))
            }
            Err(error) => self.on_bad_line(error),
        }
    }

    /// Says a reply to a command and counts the refusals.
    fn reply(&mut self, reply: &Reply) {
        reply.encode(&mut self.output);
        if reply.is_transient() || reply.is_permanent() {
            self.count_error();
        }
    }

    fn count_error(&mut self) {
        self.errors += 1;
        if self.options.hard_error_limit != 0 && self.errors >= self.options.hard_error_limit {
            let status = EnhancedStatus::new(4, 7, 0);
            self.close_with(&Reply::new(
                421,
                status,
                "Too many errors, closing connection",
            ));
        }
    }

    /// Says a positive reply to a command that does nothing for the client's mail.
    fn reply_to_junk(&mut self, reply: &Reply) {
        self.reply(reply);
        self.junk += 1;
        if self.junk > self.options.junk_command_limit {
            self.count_error();
        }
    }
}

#[cfg(test)]
mod tests;
