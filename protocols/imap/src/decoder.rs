//! Framing: where a command ends, which literals it has, and what becomes of those too large.

mod marker;

use bytes::{Buf, Bytes, BytesMut};
use facteur_wire::Secret;

use crate::{
    AppendHead, Command, Tag,
    append::{self, Before},
    command::{self, Refused},
    cursor::Cursor,
};
use marker::Marker;

/// Upper limits, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A command's lines together, without its literals.
    pub line: usize,
    /// Its literals together; APPEND's message is not counted.
    pub literals: usize,
}

/// What a decoder has found.
#[derive(Debug)]
pub enum Event {
    /// Nothing whole: feed more.
    NeedMore,
    /// The client waits for `+` before it sends an argument's literal.
    Continue,
    /// A command.
    Command(Tag, Command),
    /// An APPEND up to its message. Answer with [`Decoder::accept_append`] or
    /// [`Decoder::refuse_append`].
    Append(AppendHead),
    /// Octets of the message.
    Chunk(Bytes),
    /// The message is whole, and the command ended as it should.
    AppendEnd,
    /// Not a command: answer BAD with this text, tagged if there is a tag. In the middle of an
    /// APPEND that was accepted it ends that.
    Invalid(Option<Tag>, String),
    /// Beyond what is worth reading on: say BYE and close.
    Fatal(&'static str),
}

/// A line that is no command.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Feed more.
    NeedMore,
    /// The line without its end: a password may be in it.
    Whole(Secret),
    /// Longer than allowed: say BYE and close.
    TooLong,
}

/// Takes the bytes a client sends apart into commands. It keeps no more than the limits allow.
pub struct Decoder {
    buffer: BytesMut,
    state: State,
    limits: Limits,
}

// What is buffered may be a password.
impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("buffered", &self.buffer.len())
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Collecting a command.
    Command(Progress),
    /// Waiting for the caller's decision on an APPEND.
    AppendHead { size: u64, synchronizing: bool },
    /// Handing out a message.
    AppendBody { missing: u64 },
    /// After a message, where the command must end.
    AppendTail,
    /// Throwing away `literal` octets and then the rest of a line. `total` counts what was.
    Swallow { literal: u64, total: u64 },
    /// After [`Event::Fatal`].
    Dead,
}

/// How much of a command is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Progress {
    /// Where the line at hand begins, after all literals so far.
    line_start: usize,
    /// Up to where it was searched for its end.
    searched: usize,
    /// Octets of literals so far.
    literals: usize,
}

/// How many octets of refused lines and argument literals are read past before we give up.
const MAX_SWALLOWED: u64 = 1 << 20;

const AFTER_MESSAGE: &str = "APPEND: expected the end of the command";

impl Decoder {
    /// A decoder for a new connection.
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            state: State::Command(Progress::default()),
            limits,
        }
    }

    /// Changes the limits from the next command on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Where to read into directly.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing is buffered.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Gives the buffer's memory back when nothing is in it.
    pub fn release(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Forgets everything buffered: what came before TLS was up is nobody's command
    /// (RFC 3501 §6.2.1).
    pub fn reset(&mut self) {
        self.buffer = BytesMut::new();
        self.state = State::Command(Progress::default());
    }

    /// What comes next.
    pub fn poll(&mut self) -> Event {
        loop {
            let event = match self.state {
                State::Command(progress) => self.poll_command(progress),
                State::AppendHead { .. } => Some(Event::NeedMore),
                State::AppendBody { missing } => self.poll_append_body(missing),
                State::AppendTail => self.poll_append_tail(),
                State::Swallow { literal, total } => self.poll_swallow(literal, total),
                State::Dead => {
                    self.buffer.clear();
                    Some(Event::NeedMore)
                }
            };
            if let Some(event) = event {
                if matches!(event, Event::Fatal(_)) {
                    self.buffer = BytesMut::new();
                    self.state = State::Dead;
                }
                return event;
            }
        }
    }

    /// Lets an APPEND's message come; returns whether the client waits for `+`.
    pub fn accept_append(&mut self) -> bool {
        match self.state {
            State::AppendHead {
                size,
                synchronizing,
            } => {
                self.state = State::AppendBody { missing: size };
                synchronizing
            }
            _ => false,
        }
    }

    /// Whether an APPEND's message has come and only the end of its line is missing.
    pub fn append_is_whole(&self) -> bool {
        self.state == State::AppendTail
    }

    /// Ends an APPEND before or within its message; the caller answers it. What the client is
    /// still going to send of it is read past.
    pub fn refuse_append(&mut self) {
        self.state = match self.state {
            // It waits for our go-ahead and, told NO, sends nothing (RFC 3501 §7.5).
            State::AppendHead {
                synchronizing: true,
                ..
            } => State::Command(Progress::default()),
            State::AppendHead { size, .. } => State::Swallow {
                literal: size,
                total: 0,
            },
            State::AppendBody { missing } => State::Swallow {
                literal: missing,
                total: 0,
            },
            State::AppendTail => State::Swallow {
                literal: 0,
                total: 0,
            },
            other => other,
        };
    }

    /// Takes a line that is no command: a SASL response, IDLE's DONE.
    pub fn poll_line(&mut self, limit: usize) -> Line {
        match memchr::memchr(b'\n', &self.buffer) {
            Some(end) if end <= limit + 1 => {
                let mut line = self.buffer.split_to(end + 1);
                let whole = Secret::new(marker::without_end(&line).to_vec());
                wipe(&mut line);
                Line::Whole(whole)
            }
            None if self.buffer.len() <= limit + 1 => Line::NeedMore,
            _ => Line::TooLong,
        }
    }

    fn poll_command(&mut self, mut progress: Progress) -> Option<Event> {
        let unsearched = self.buffer.get(progress.searched..).unwrap_or_default();
        let Some(at) = memchr::memchr(b'\n', unsearched) else {
            progress.searched = progress.searched.max(self.buffer.len());
            self.state = State::Command(progress);
            let over = self.buffer.len().saturating_sub(progress.literals) > self.limits.line;
            return Some(match over {
                true => self.refuse_line(progress),
                false => Event::NeedMore,
            });
        };
        let end = progress.searched + at + 1;
        if end - progress.literals > self.limits.line {
            return Some(self.refuse_line(progress));
        }
        let line = self
            .buffer
            .get(progress.line_start..end)
            .unwrap_or_default();
        match marker::at_end(line) {
            Some(marker) => self.literal(progress, end, marker),
            None => {
                self.state = State::Command(Progress::default());
                self.whole_command(end)
            }
        }
    }

    fn whole_command(&mut self, end: usize) -> Option<Event> {
        let mut line = self.buffer.split_to(end);
        let content = marker::without_end(&line);
        if content.is_empty() {
            return None;
        }
        let event = match command::parse(content) {
            Ok((tag, command)) => Event::Command(tag, command),
            Err(Refused { tag, text }) => Event::Invalid(tag, text),
        };
        if matches!(
            event,
            Event::Command(_, Command::Login { .. } | Command::Authenticate { .. })
        ) {
            // The password stood in the buffer too.
            wipe(&mut line);
        }
        Some(event)
    }

    /// A line ended in a literal marker.
    fn literal(&mut self, mut progress: Progress, end: usize, marker: Marker) -> Option<Event> {
        match self.append_head(end, &marker) {
            Some(Ok(head)) => {
                self.buffer.advance(end);
                self.state = State::AppendHead {
                    size: head.size,
                    synchronizing: head.synchronizing,
                };
                return Some(Event::Append(head));
            }
            Some(Err(text)) => return Some(self.refuse_literal(end, &marker, text)),
            None => {}
        }
        let size = usize::try_from(marker.size).unwrap_or(usize::MAX);
        progress.literals = progress.literals.saturating_add(size);
        if progress.literals > self.limits.literals {
            return Some(self.refuse_literal(end, &marker, "Literal is too long".to_owned()));
        }
        progress.line_start = end + size;
        progress.searched = progress.line_start;
        self.state = State::Command(progress);
        marker.synchronizing.then_some(Event::Continue)
    }

    /// If the command is an APPEND and the literal its message, its head; `Err` when it is an
    /// APPEND that cannot be read.
    fn append_head(&self, end: usize, marker: &Marker) -> Option<Result<AppendHead, String>> {
        let line = self.buffer.get(..end)?;
        let mut cursor = Cursor::new(line.get(..line.len().checked_sub(marker.len)?)?);
        let tag = Tag::take(&mut cursor).ok()?;
        cursor.space().ok()?;
        if command::verb(&mut cursor).ok()? != "APPEND" {
            return None;
        }
        match append::before_literal(cursor.rest()) {
            Ok(Before::Mailbox) => None,
            Ok(Before::Message {
                mailbox,
                flags,
                date,
            }) => Some(Ok(AppendHead {
                tag,
                mailbox,
                flags,
                date,
                size: marker.size,
                synchronizing: marker.synchronizing,
            })),
            Err(malformed) => Some(Err(format!("APPEND: {malformed}"))),
        }
    }

    fn refuse_literal(&mut self, end: usize, marker: &Marker, text: String) -> Event {
        let tag = Tag::of_line(&self.buffer);
        self.buffer.advance(end);
        self.state = if marker.synchronizing {
            State::Command(Progress::default())
        } else {
            State::Swallow {
                literal: marker.size,
                total: marker.size,
            }
        };
        Event::Invalid(tag, text)
    }

    /// Refuses a command that is too long at the line at hand, which is read past.
    fn refuse_line(&mut self, progress: Progress) -> Event {
        // Only what is certain to be there at this point, however the bytes came.
        let begin = self.buffer.get(..self.limits.line).unwrap_or(&self.buffer);
        let tag = Tag::of_line(begin);
        self.buffer.advance(progress.line_start);
        self.state = State::Swallow {
            literal: 0,
            total: 0,
        };
        Event::Invalid(tag, "Command line is too long".to_owned())
    }

    fn poll_append_body(&mut self, missing: u64) -> Option<Event> {
        if missing == 0 {
            self.state = State::AppendTail;
            return None;
        }
        if self.buffer.is_empty() {
            return Some(Event::NeedMore);
        }
        let count = usize::try_from(missing)
            .unwrap_or(usize::MAX)
            .min(self.buffer.len());
        let chunk = self.buffer.split_to(count).freeze();
        let missing = missing - u64::try_from(count).unwrap_or(missing);
        self.state = State::AppendBody { missing };
        Some(Event::Chunk(chunk))
    }

    fn poll_append_tail(&mut self) -> Option<Event> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer) else {
            if self.buffer.len() > self.limits.line {
                self.state = State::Swallow {
                    literal: 0,
                    total: 0,
                };
                return Some(Event::Invalid(None, AFTER_MESSAGE.to_owned()));
            }
            return Some(Event::NeedMore);
        };
        let line = self.buffer.split_to(at + 1);
        self.state = State::Command(Progress::default());
        if marker::without_end(&line).is_empty() {
            return Some(Event::AppendEnd);
        }
        // A second message, perhaps: MULTIAPPEND is not offered.
        if let Some(marker) = marker::at_end(&line).filter(|marker| !marker.synchronizing) {
            self.state = State::Swallow {
                literal: marker.size,
                total: 0,
            };
        }
        Some(Event::Invalid(None, AFTER_MESSAGE.to_owned()))
    }

    fn poll_swallow(&mut self, literal: u64, total: u64) -> Option<Event> {
        if total > MAX_SWALLOWED {
            return Some(Event::Fatal("Too much input that is no command"));
        }
        if self.buffer.is_empty() {
            return Some(Event::NeedMore);
        }
        if literal > 0 {
            let count = usize::try_from(literal)
                .unwrap_or(usize::MAX)
                .min(self.buffer.len());
            self.buffer.advance(count);
            let literal = literal - u64::try_from(count).unwrap_or(literal);
            self.state = State::Swallow { literal, total };
            return None;
        }
        let Some(at) = memchr::memchr(b'\n', &self.buffer) else {
            // Enough is kept to recognise a literal marker at the line's end.
            let gone = self.buffer.len().saturating_sub(marker::MAX_LEN);
            self.buffer.advance(gone);
            let total = total.saturating_add(u64::try_from(gone).unwrap_or(u64::MAX));
            self.state = State::Swallow { literal, total };
            return Some(if total > MAX_SWALLOWED {
                Event::Fatal("Too much input that is no command")
            } else {
                Event::NeedMore
            });
        };
        let line = self.buffer.split_to(at + 1);
        // However the line came, the same of it decides.
        let tail = line.get(line.len().saturating_sub(marker::MAX_LEN)..);
        self.state = match marker::at_end(tail.unwrap_or_default()) {
            Some(marker) if !marker.synchronizing => State::Swallow {
                literal: marker.size,
                total: total.saturating_add(marker.size),
            },
            _ => State::Command(Progress::default()),
        };
        None
    }
}

fn wipe(bytes: &mut BytesMut) {
    bytes.fill(0);
    // So that the compiler does not leave the writes out.
    std::hint::black_box(bytes);
}

#[cfg(test)]
mod tests;
