//! A small IMAP client.

use std::{net::SocketAddr, path::Path};

use crate::Connection;

/// What a command was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Untagged responses without `* `, literals in their place: `{5}` CRLF and the bytes.
    pub untagged: Vec<String>,
    /// The tagged response without its tag: `OK …`, `NO …`, `BAD …`.
    pub tagged: String,
}

impl Response {
    /// Whether it is OK.
    pub fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// The untagged responses that contain `word`.
    pub fn with<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.untagged
            .iter()
            .map(String::as_str)
            .filter(move |line| line.contains(word))
    }
}

/// An IMAP client that sends what a test says and nothing else.
pub struct Imap {
    /// The connection, for what this client does not know.
    pub connection: Connection,
    /// The greeting.
    pub greeting: String,
    next: u32,
}

impl Imap {
    /// Connects in clear and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Connection::plain(address))
    }

    /// Connects through TLS and reads the greeting.
    pub fn connect_tls(address: SocketAddr, certificate: &Path) -> Self {
        Self::over(Connection::tls(address, certificate))
    }

    fn over(mut connection: Connection) -> Self {
        let greeting = connection.line();
        Self {
            connection,
            greeting,
            next: 1,
        }
    }

    /// STARTTLS.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn starttls(mut self, certificate: &Path) -> Self {
        self.must("STARTTLS");
        Self {
            connection: self.connection.into_tls(certificate),
            ..self
        }
    }

    /// LOGIN.
    ///
    /// # Panics
    /// When it is refused.
    pub fn login(&mut self, user: &str, password: &str) {
        self.must(&format!("LOGIN \"{user}\" \"{password}\""));
    }

    /// Sends a command and reads until its tagged response.
    pub fn command(&mut self, command: &str) -> Response {
        let tag = self.send(command);
        self.finish(&tag)
    }

    /// Sends a command that must be OK.
    ///
    /// # Panics
    /// When it is not.
    pub fn must(&mut self, command: &str) -> Response {
        let response = self.command(command);
        assert!(response.is_ok(), "{command}: {response:?}");
        response
    }

    /// Sends a command; returns its tag.
    pub fn send(&mut self, command: &str) -> String {
        let tag = format!("a{}", self.next);
        self.next += 1;
        self.connection.send_line(&format!("{tag} {command}"));
        tag
    }

    /// Reads until the tagged response of `tag`.
    pub fn finish(&mut self, tag: &str) -> Response {
        let mut untagged = Vec::new();
        loop {
            let line = self.response_line();
            if let Some(tagged) = line.strip_prefix(&format!("{tag} ")) {
                return Response {
                    untagged,
                    tagged: tagged.to_owned(),
                };
            }
            untagged.push(line.strip_prefix("* ").unwrap_or(&line).to_owned());
        }
    }

    /// Reads one response with its literals.
    pub fn response_line(&mut self) -> String {
        let mut response = self.connection.line();
        while let Some(length) = literal_length(&response) {
            let bytes = self.connection.bytes(length);
            response.push_str("\r\n");
            response.push_str(&String::from_utf8_lossy(&bytes));
            response.push_str(&self.connection.line());
        }
        response
    }

    /// APPEND with a synchronising literal.
    ///
    /// # Panics
    /// When the server does not ask for the literal.
    pub fn append(&mut self, arguments: &str, message: &str) -> Response {
        self.append_bytes(arguments, message.as_bytes())
    }

    /// As [`Imap::append`], of any bytes.
    ///
    /// # Panics
    /// When the server does not ask for the literal.
    pub fn append_bytes(&mut self, arguments: &str, message: &[u8]) -> Response {
        let tag = self.send(&format!("APPEND {arguments} {{{}}}", message.len()));
        let go_on = self.connection.line();
        assert!(go_on.starts_with('+'), "{go_on}");
        self.connection.send(message);
        self.connection.send(b"\r\n");
        self.finish(&tag)
    }

    /// The whole text of a message by its UID, `BODY.PEEK[]`.
    ///
    /// # Panics
    /// When there is none.
    pub fn fetch_text(&mut self, uid: u32) -> String {
        let response = self.must(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        let fetch = response.with("FETCH").next().expect("the message");
        let (head, rest) = fetch.split_once("\r\n").expect("a literal");
        let length = literal_length(head).expect("a literal's length");
        rest[..length].to_owned()
    }

    /// The whole text of a message by its UID, `BODY.PEEK[]`, as it is.
    ///
    /// # Panics
    /// When there is none.
    pub fn fetch_bytes(&mut self, uid: u32) -> Vec<u8> {
        let tag = self.send(&format!("UID FETCH {uid} (BODY.PEEK[])"));
        let line = self.connection.line();
        let length = literal_length(&line);
        let length = length.unwrap_or_else(|| panic!("no literal: {line}"));
        let bytes = self.connection.bytes(length);
        let rest = self.finish(&tag);
        assert!(rest.is_ok(), "{rest:?}");
        bytes
    }
}

pub(crate) fn literal_length(line: &str) -> Option<usize> {
    let (_, length) = line.strip_suffix('}')?.rsplit_once('{')?;
    length.parse().ok()
}
