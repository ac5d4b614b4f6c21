//! The state machine (RFC 1939 §3: AUTHORIZATION, TRANSACTION, UPDATE).

use bytes::BytesMut;
use facteur_wire::{LineBuffer, Secret};

use crate::{
    Command, DotStuffer, MAX_COMMAND_LINE, Maildrop, Message, ResponseCode,
    listing::{Kind, Listing},
    reply::{err, ok},
};

/// Longest line while nobody is logged in: a SASL response (RFC 4954 §4: 12288 octets) after
/// `AUTH` and a mechanism.
const MAX_LOGIN_LINE: usize = 12288 + 64;

/// Output past which nothing more is made before it is sent.
const HIGH_WATER: usize = 32 * 1024;

/// Errors in a row after which the session ends.
const MAX_ERRORS: u32 = 10;

/// What the session may offer. It changes when TLS starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Whether STLS is offered.
    pub start_tls: bool,
    /// Whether passwords may cross: TLS is up, or the listener does not mind.
    pub passwords: bool,
    /// SASL mechanisms, when passwords may cross.
    pub mechanisms: &'static [&'static str],
}

/// What the driver has to do, and answer.
#[derive(Debug)]
pub enum Event {
    /// Send the output, drop what else was read, start TLS, then [`Session::tls_started`].
    StartTls,
    /// USER and PASS: [`Session::logged_in`] or [`Session::refuse`].
    Login {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// AUTH: [`Session::challenge`], [`Session::logged_in`] or [`Session::refuse`].
    Authenticate {
        /// As the client wrote it.
        mechanism: String,
        /// Base64, if it came along.
        initial_response: Option<Secret>,
    },
    /// The client's answer to a challenge, base64 or `*`; answered as AUTH is.
    Respond(Secret),
    /// RETR, TOP: [`Session::begin_message`], the stuffed message into [`Session::output`], and
    /// [`Session::end_message`]; or [`Session::refuse`].
    Retrieve {
        /// Which one.
        message: Message,
        /// `None` is all of it; else how many lines of the body.
        lines: Option<u32>,
    },
    /// QUIT: remove these UIDs, then [`Session::updated`].
    Update {
        /// What DELE marked, ascending.
        delete: Vec<u32>,
    },
}

/// What to do next.
#[derive(Debug)]
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

#[derive(Debug)]
enum State {
    Authorization,
    /// The next line answers a challenge.
    Sasl,
    Transaction,
    Listing(Listing),
    /// An event has no answer yet; whether somebody is logged in.
    Waiting {
        transaction: bool,
    },
    Closed,
}

/// One client's session.
#[derive(Debug)]
pub struct Session {
    setting: Setting,
    input: LineBuffer,
    output: BytesMut,
    state: State,
    user: Option<String>,
    maildrop: Maildrop,
    errors: u32,
}

impl Session {
    /// Begins with a greeting that says `banner`.
    pub fn new(setting: Setting, banner: &str) -> Self {
        let mut session = Self {
            setting,
            input: LineBuffer::new(),
            output: BytesMut::new(),
            state: State::Authorization,
            user: None,
            maildrop: Maildrop::default(),
            errors: 0,
        };
        ok(&mut session.output, banner);
        session
    }

    /// Where what is read goes.
    pub fn input(&mut self) -> &mut LineBuffer {
        &mut self.input
    }

    /// What is to be sent. The driver takes it out as it is written.
    pub fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Whether somebody is logged in.
    pub fn is_authenticated(&self) -> bool {
        matches!(
            self.state,
            State::Transaction | State::Listing(_) | State::Waiting { transaction: true }
        )
    }

    /// The maildrop of who is logged in.
    pub fn maildrop(&self) -> &Maildrop {
        &self.maildrop
    }

    /// Goes on with what has been read.
    ///
    /// Calling it again before an event is answered gives [`Next::Flush`].
    pub fn advance(&mut self) -> Next {
        loop {
            if self.output.len() >= HIGH_WATER {
                return Next::Flush;
            }
            let limit = match &mut self.state {
                State::Closed => return Next::Close,
                State::Waiting { .. } => return Next::Flush,
                State::Listing(listing) => {
                    if listing.write(&self.maildrop, &mut self.output, HIGH_WATER) {
                        self.state = State::Transaction;
                    }
                    continue;
                }
                State::Authorization | State::Sasl => MAX_LOGIN_LINE,
                State::Transaction => MAX_COMMAND_LINE,
            };
            let line = match self.input.take_line(limit) {
                Ok(Some(line)) => line,
                Ok(None) => return Next::Input,
                Err(error) => {
                    if matches!(self.state, State::Sasl) {
                        self.state = State::Authorization;
                    }
                    self.error(&error.to_string());
                    continue;
                }
            };
            if matches!(self.state, State::Sasl) {
                return self.event(Event::Respond(Secret::new(line.to_vec())));
            }
            let event = match Command::parse(&line) {
                Ok(command) => self.command(command),
                Err(error) => {
                    self.error(&error.to_string());
                    None
                }
            };
            if let Some(event) = event {
                return self.event(event);
            }
        }
    }

    /// Sends a SASL challenge, base64.
    pub fn challenge(&mut self, challenge: &str) {
        self.output.extend_from_slice(b"+ ");
        self.output.extend_from_slice(challenge.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.state = State::Sasl;
    }

    /// The login succeeded and the maildrop is locked: TRANSACTION begins.
    pub fn logged_in(&mut self, maildrop: Maildrop) {
        let text = format!(
            "Logged in, {} messages ({} octets)",
            maildrop.count(),
            maildrop.octets()
        );
        ok(&mut self.output, &text);
        self.maildrop = maildrop;
        self.user = None;
        self.errors = 0;
        self.state = State::Transaction;
    }

    /// The event failed; the session goes on in the state it was in.
    pub fn refuse(&mut self, code: Option<ResponseCode>, text: &str) {
        if self.is_authenticated() {
            // The client is not to blame.
            self.state = State::Transaction;
            err(&mut self.output, code, text);
        } else {
            self.state = State::Authorization;
            self.user = None;
            self.count_error(code, text);
        }
    }

    /// TLS is up. What the client said before does not count (RFC 2595 §2.2).
    pub fn tls_started(&mut self, setting: Setting) {
        self.setting = setting;
        self.input.clear();
        self.user = None;
        self.state = State::Authorization;
    }

    /// The message is open: begins the response.
    pub fn begin_message(&mut self, message: Message, lines: Option<u32>) {
        match lines {
            None => ok(&mut self.output, &format!("{} octets", message.size)),
            Some(_) => ok(&mut self.output, "Top of message follows"),
        }
    }

    /// The message is written: ends the response.
    pub fn end_message(&mut self, stuffer: DotStuffer) {
        stuffer.finish(&mut self.output);
        self.state = State::Transaction;
    }

    /// The update is done, or failed (RFC 1939 §6).
    pub fn updated(&mut self, done: bool) {
        if done {
            ok(&mut self.output, "Bye");
        } else {
            let text = "Some deleted messages were not removed";
            err(&mut self.output, Some(ResponseCode::Temporary), text);
        }
        self.state = State::Closed;
    }

    /// Ends the session for a reason of ours; nothing is deleted.
    pub fn close(&mut self, text: &str) {
        err(&mut self.output, Some(ResponseCode::Temporary), text);
        self.state = State::Closed;
    }

    fn event(&mut self, event: Event) -> Next {
        self.state = State::Waiting {
            transaction: matches!(self.state, State::Transaction),
        };
        Next::Event(event)
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Capa => {
                self.capabilities();
                None
            }
            Command::Quit => self.quit(),
            command if matches!(self.state, State::Transaction) => self.transaction(command),
            command => self.authorization(command),
        }
    }

    fn quit(&mut self) -> Option<Event> {
        if matches!(self.state, State::Transaction) {
            let delete = self.maildrop.marked();
            return Some(Event::Update { delete });
        }
        ok(&mut self.output, "Bye");
        self.state = State::Closed;
        None
    }

    fn authorization(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Stls if self.setting.start_tls => {
                ok(&mut self.output, "Begin TLS negotiation");
                self.input.clear();
                return Some(Event::StartTls);
            }
            Command::Stls => self.error("TLS is not available"),
            Command::User(_) | Command::Pass(_) | Command::Auth { .. }
                if !self.setting.passwords =>
            {
                self.error("Passwords need TLS");
            }
            Command::User(name) => {
                self.user = Some(name);
                self.accept("Send PASS");
            }
            Command::Pass(password) => match self.user.take() {
                Some(user) => return Some(Event::Login { user, password }),
                None => self.error("Send USER first"),
            },
            Command::Auth {
                mechanism: Some(mechanism),
                initial_response,
            } => {
                return Some(Event::Authenticate {
                    mechanism,
                    initial_response,
                });
            }
            Command::Auth { .. } => self.mechanisms(),
            _ => self.error("Log in first"),
        }
        None
    }

    fn transaction(&mut self, command: Command) -> Option<Event> {
        match command {
            Command::Stat => {
                let text = format!("{} {}", self.maildrop.count(), self.maildrop.octets());
                self.accept(&text);
            }
            Command::List(number) => self.list(Kind::Sizes, number),
            Command::Uidl(number) => self.list(Kind::UniqueIds, number),
            Command::Retr(number) => return self.retrieve(number, None),
            Command::Top { message, lines } => return self.retrieve(message, Some(lines)),
            Command::Dele(number) => {
                if self.maildrop.mark(number) {
                    self.accept("Marked to be deleted");
                } else {
                    self.no_such_message();
                }
            }
            Command::Noop => self.accept("Nothing done"),
            Command::Rset => {
                self.maildrop.reset();
                self.accept("No message is marked");
            }
            _ => self.error("Already logged in"),
        }
        None
    }

    fn retrieve(&mut self, number: u32, lines: Option<u32>) -> Option<Event> {
        let Some(message) = self.maildrop.message(number) else {
            self.no_such_message();
            return None;
        };
        self.errors = 0;
        Some(Event::Retrieve { message, lines })
    }

    fn list(&mut self, kind: Kind, number: Option<u32>) {
        let Some(number) = number else {
            let text = format!(
                "{} messages ({} octets)",
                self.maildrop.count(),
                self.maildrop.octets()
            );
            self.accept(&text);
            self.state = State::Listing(Listing { kind, next: 1 });
            return;
        };
        match (self.maildrop.message(number), kind) {
            (None, _) => self.no_such_message(),
            (Some(message), Kind::Sizes) => self.accept(&format!("{number} {}", message.size)),
            (Some(message), Kind::UniqueIds) => {
                let unique_id = self.maildrop.unique_id(message);
                self.accept(&format!("{number} {unique_id}"));
            }
        }
    }

    /// RFC 2449 §5, §6.
    fn capabilities(&mut self) {
        self.accept("Capabilities follow");
        let authorization = matches!(self.state, State::Authorization);
        let out = &mut self.output;
        // §6.2, §6.3: announced in both states, though of use in one.
        if self.setting.passwords {
            out.extend_from_slice(b"USER\r\nSASL");
            for mechanism in self.setting.mechanisms {
                out.extend_from_slice(b" ");
                out.extend_from_slice(mechanism.as_bytes());
            }
            out.extend_from_slice(b"\r\n");
        }
        if authorization && self.setting.start_tls {
            out.extend_from_slice(b"STLS\r\n");
        }
        out.extend_from_slice(
            b"TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n\
              IMPLEMENTATION Facteur\r\n.\r\n",
        );
    }

    /// AUTH alone lists the mechanisms, as clients from before CAPA expect.
    fn mechanisms(&mut self) {
        self.accept("Mechanisms follow");
        for mechanism in self.setting.mechanisms {
            self.output.extend_from_slice(mechanism.as_bytes());
            self.output.extend_from_slice(b"\r\n");
        }
        self.output.extend_from_slice(b".\r\n");
    }

    fn accept(&mut self, text: &str) {
        // Before login nothing makes up for a failed one: USER comes before every PASS.
        if self.is_authenticated() {
            self.errors = 0;
        }
        ok(&mut self.output, text);
    }

    fn no_such_message(&mut self) {
        // No error of the protocol: a client may well ask after DELE.
        err(&mut self.output, None, "No such message");
    }

    fn error(&mut self, text: &str) {
        self.count_error(None, text);
    }

    fn count_error(&mut self, code: Option<ResponseCode>, text: &str) {
        err(&mut self.output, code, text);
        self.errors += 1;
        if self.errors >= MAX_ERRORS {
            err(&mut self.output, None, "Too many errors");
            self.state = State::Closed;
        }
    }
}
