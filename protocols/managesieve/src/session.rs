//! The state machine: not authenticated, authenticated, closed.

use bytes::{Bytes, BytesMut};
use facteur_wire::{LineBuffer, Secret};

use crate::{
    Argument, Capabilities, Code, Command, DecodeError, Decoder, Limits, ScriptName,
    reply::{Status, push_response, push_string},
};

/// Longest line: a base64 response of 12288 octets in quotes, or two script names.
const MAX_LINE: usize = 12288 + 64;

/// Output past which nothing more is made before it is sent.
const HIGH_WATER: usize = 32 * 1024;

/// Errors in a row after which the session ends; failed logins are never made up for.
const MAX_ERRORS: u32 = 10;

/// What the driver has to do, and answer: with [`Session::ok`] or [`Session::no`] if nothing else
/// is said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Send the output, drop what else was read, start TLS, then [`Session::tls_started`].
    StartTls,
    /// [`Session::challenge`], [`Session::authenticated`] or [`Session::no`].
    Authenticate {
        /// As the client wrote it.
        mechanism: String,
        /// Base64, if it came along.
        initial_response: Option<Secret>,
    },
    /// The client's answer to a challenge, base64 or `*`; answered as AUTHENTICATE is.
    Respond(Secret),
    /// Who was logged in is so no more; forget the account, then [`Session::ok`].
    Unauthenticate,
    /// Would a script of this size fit?
    HaveSpace {
        /// The script that would be put.
        name: ScriptName,
        /// Its size in octets.
        size: u64,
    },
    /// Check it, keep it.
    PutScript {
        /// Its name.
        name: ScriptName,
        /// Its text.
        script: Bytes,
    },
    /// [`Session::list`] them.
    ListScripts,
    /// Make it the active one, or none.
    SetActive(Option<ScriptName>),
    /// [`Session::script`].
    GetScript(ScriptName),
    /// Remove it.
    DeleteScript(ScriptName),
    /// Rename it.
    RenameScript {
        /// Its name now.
        from: ScriptName,
        /// Its name to be.
        to: ScriptName,
    },
    /// Check it, keep nothing.
    CheckScript(Bytes),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send the output, if there is any, read more into [`Session::input`].
    Input,
    /// Send the output, then ask again.
    Flush,
    /// Do this and answer it.
    Event(Event),
    /// Send the output and close.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    /// The next line answers a challenge.
    Sasl,
    /// An event has no answer yet.
    Waiting,
    Closed,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    capabilities: Capabilities,
    max_script_size: u64,
    input: LineBuffer,
    decoder: Decoder,
    output: BytesMut,
    state: State,
    /// Who is logged in.
    owner: Option<String>,
    errors: u32,
}

impl Session {
    /// Begins with the greeting: the capabilities and OK. Larger scripts than `max_script_size`
    /// are not even taken.
    pub fn new(capabilities: Capabilities, max_script_size: u64) -> Self {
        let mut session = Self {
            capabilities,
            max_script_size,
            input: LineBuffer::new(),
            decoder: Decoder::new(),
            output: BytesMut::new(),
            state: State::Ready,
            owner: None,
            errors: 0,
        };
        session.push_capabilities("ManageSieve ready");
        session
    }

    /// Where what is read goes.
    pub fn input(&mut self) -> &mut LineBuffer {
        &mut self.input
    }

    /// How much of a string the client has announced is still to come.
    pub fn expects(&self) -> usize {
        self.decoder.expects()
    }

    /// What is to be sent. The driver takes it out as it is written.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether somebody is logged in.
    pub fn is_authenticated(&self) -> bool {
        self.owner.is_some()
    }

    /// Goes on with what has been read.
    ///
    /// Calling it again before an event is answered gives [`Next::Flush`].
    pub fn advance(&mut self) -> Next {
        loop {
            match self.state {
                State::Closed => return Next::Close,
                State::Waiting => return Next::Flush,
                State::Ready | State::Sasl if self.output.len() >= HIGH_WATER => {
                    return Next::Flush;
                }
                State::Ready | State::Sasl => {}
            }
            let limits = self.limits();
            let line = match self.decoder.decode(&mut self.input, &limits) {
                Ok(Some(line)) => line,
                Ok(None) => return Next::Input,
                Err(error) => {
                    self.decode_error(error);
                    continue;
                }
            };
            if self.state == State::Sasl {
                match line.as_slice() {
                    [Argument::String(response)] => {
                        self.state = State::Waiting;
                        return Next::Event(Event::Respond(Secret::new(response.to_vec())));
                    }
                    _ => self.error(None, "A string was expected; authentication is cancelled"),
                }
                continue;
            }
            // Empty lines between commands hurt nobody: some clients end literals with one.
            if line.is_empty() {
                continue;
            }
            let event = match Command::parse(line) {
                Ok(command) => self.command(command),
                Err(error) => {
                    self.error(None, &error.to_string());
                    None
                }
            };
            if let Some(event) = event {
                self.state = State::Waiting;
                return Next::Event(event);
            }
        }
    }

    /// The event is done.
    pub fn ok(&mut self, text: &str) {
        self.respond(Status::Ok, None, text);
        if self.owner.is_some() {
            self.errors = 0;
        }
    }

    /// The event failed. Of a login that counts against the client.
    pub fn no(&mut self, code: Option<Code>, text: &str) {
        if self.owner.is_some() {
            self.respond(Status::No, code.as_ref(), text);
        } else {
            self.error(code.as_ref(), text);
        }
    }

    /// Sends a SASL challenge, base64.
    pub fn challenge(&mut self, challenge: &str) {
        push_string(&mut self.output, challenge.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.state = State::Sasl;
    }

    /// The login succeeded.
    pub fn authenticated(&mut self, owner: &str) {
        self.owner = Some(owner.to_owned());
        self.ok("Logged in");
    }

    /// TLS is up: tells the capabilities anew (§2.2).
    pub fn tls_started(&mut self, capabilities: Capabilities) {
        self.capabilities = capabilities;
        self.input.clear();
        self.decoder = Decoder::new();
        self.push_capabilities("TLS is up");
        self.state = State::Ready;
    }

    /// Answers LISTSCRIPTS: names, and whether each is the active one.
    pub fn list<'a>(&mut self, scripts: impl IntoIterator<Item = (&'a str, bool)>) {
        for (name, active) in scripts {
            push_string(&mut self.output, name.as_bytes());
            let end: &[u8] = if active { b" ACTIVE\r\n" } else { b"\r\n" };
            self.output.extend_from_slice(end);
        }
        self.ok("");
    }

    /// Answers GETSCRIPT.
    pub fn script(&mut self, text: &[u8]) {
        push_string(&mut self.output, text);
        self.output.extend_from_slice(b"\r\n");
        self.ok("");
    }

    /// Ends the session for a reason of ours.
    pub fn bye(&mut self, code: Option<Code>, text: &str) {
        push_response(&mut self.output, Status::Bye, code.as_ref(), text);
        self.state = State::Closed;
    }

    /// What one command may cost. Before login there are no scripts to take.
    fn limits(&self) -> Limits {
        let literal = match self.owner {
            // Names may come as literals too.
            Some(_) => self.max_script_size.saturating_add(4096),
            None => u64::try_from(MAX_LINE).unwrap_or(u64::MAX),
        };
        Limits {
            line: MAX_LINE,
            literal,
            skipped_literal: literal.saturating_mul(4),
        }
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Capability => {
                self.push_capabilities("");
                None
            }
            Command::Logout => {
                self.ok("Bye");
                self.state = State::Closed;
                None
            }
            Command::Noop(tag) => {
                let tag = tag.map(Code::Tag);
                self.respond(Status::Ok, tag.as_ref(), "Done");
                None
            }
            Command::Authenticate { .. } | Command::StartTls if self.owner.is_some() => {
                self.error(None, "Already logged in");
                None
            }
            Command::StartTls => self.start_tls(),
            Command::Authenticate { .. } if !self.capabilities.passwords => {
                let text = "Passwords need TLS";
                self.error(Some(&Code::EncryptNeeded), text);
                None
            }
            Command::Authenticate {
                mechanism,
                initial_response,
            } => Some(Event::Authenticate {
                mechanism,
                initial_response,
            }),
            command if self.owner.is_some() => self.script_command(command),
            _ => {
                self.error(None, "Log in first");
                None
            }
        }
    }

    fn start_tls(&mut self) -> Option<Event> {
        if !self.capabilities.start_tls {
            self.error(None, "TLS is not available");
            return None;
        }
        self.respond(Status::Ok, None, "Begin TLS negotiation");
        self.input.clear();
        Some(Event::StartTls)
    }

    /// Commands of the authenticated state.
    fn script_command(&mut self, command: Command) -> Option<Event> {
        Some(match command {
            Command::HaveSpace { name, size } => Event::HaveSpace { name, size },
            Command::PutScript { name, script } => Event::PutScript { name, script },
            Command::ListScripts => Event::ListScripts,
            Command::SetActive(name) => Event::SetActive(name),
            Command::GetScript(name) => Event::GetScript(name),
            Command::DeleteScript(name) => Event::DeleteScript(name),
            Command::RenameScript { from, to } => Event::RenameScript { from, to },
            Command::CheckScript(script) => Event::CheckScript(script),
            Command::Unauthenticate => {
                self.owner = None;
                Event::Unauthenticate
            }
            _ => return None,
        })
    }

    fn push_capabilities(&mut self, text: &str) {
        self.capabilities
            .push(&mut self.output, self.owner.as_deref());
        push_response(&mut self.output, Status::Ok, None, text);
    }

    fn respond(&mut self, status: Status, code: Option<&Code>, text: &str) {
        push_response(&mut self.output, status, code, text);
        self.state = State::Ready;
    }

    fn decode_error(&mut self, error: DecodeError) {
        match error {
            DecodeError::FarTooLarge => {
                self.bye(Some(Code::QuotaMaxSize), "The string is too long")
            }
            DecodeError::TooLarge => {
                self.error(Some(&Code::QuotaMaxSize), "The string is too long");
            }
            error => self.error(None, &error.to_string()),
        }
    }

    fn error(&mut self, code: Option<&Code>, text: &str) {
        self.respond(Status::No, code, text);
        self.errors += 1;
        if self.errors >= MAX_ERRORS {
            self.bye(None, "Too many errors");
        }
    }
}
