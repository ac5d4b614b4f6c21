//! A small SMTP and LMTP client.

use std::{net::SocketAddr, path::Path};

use crate::Connection;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// Its lines without code and CRLF.
    pub lines: Vec<String>,
}

/// An SMTP client that sends what a test says and nothing else.
pub struct Smtp {
    /// The connection, for what this client does not know.
    pub connection: Connection,
    /// The greeting.
    pub greeting: Reply,
}

impl Smtp {
    /// Connects in clear and reads the greeting.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(Connection::plain(address))
    }

    /// Connects through TLS and reads the greeting.
    pub fn connect_tls(address: SocketAddr, certificate: &Path) -> Self {
        Self::over(Connection::tls(address, certificate))
    }

    fn over(mut connection: Connection) -> Self {
        let greeting = read_reply(&mut connection);
        Self {
            connection,
            greeting,
        }
    }

    /// Sends a command and reads its reply.
    pub fn command(&mut self, line: &str) -> Reply {
        self.connection.send_line(line);
        self.reply()
    }

    /// Sends a command whose reply must have this code.
    ///
    /// # Panics
    /// When it has another.
    pub fn expect(&mut self, line: &str, code: u16) -> Reply {
        let reply = self.command(line);
        assert_eq!(reply.code, code, "{line}: {reply:?}");
        reply
    }

    /// Reads a reply.
    pub fn reply(&mut self) -> Reply {
        read_reply(&mut self.connection)
    }

    /// STARTTLS, and EHLO again.
    #[must_use]
    pub fn starttls(mut self, certificate: &Path) -> Self {
        self.expect("STARTTLS", 220);
        let mut this = Self {
            connection: self.connection.into_tls(certificate),
            greeting: self.greeting,
        };
        this.expect("EHLO client.example", 250);
        this
    }

    /// Sends a message in one transaction after EHLO; returns the reply to its end. Lines that begin
    /// with a dot are stuffed, and a missing CRLF at the end is added.
    pub fn send(&mut self, from: &str, to: &[&str], message: &str) -> Reply {
        self.expect(&format!("MAIL FROM:<{from}>"), 250);
        for recipient in to {
            self.expect(&format!("RCPT TO:<{recipient}>"), 250);
        }
        self.data(message)
    }

    /// DATA with a message; returns the reply to its end.
    pub fn data(&mut self, message: &str) -> Reply {
        self.expect("DATA", 354);
        let mut stuffed = String::with_capacity(message.len() + 8);
        for line in message.trim_end_matches("\r\n").split("\r\n") {
            if line.starts_with('.') {
                stuffed.push('.');
            }
            stuffed.push_str(line);
            stuffed.push_str("\r\n");
        }
        stuffed.push_str(".\r\n");
        self.connection.send(stuffed.as_bytes());
        self.reply()
    }
}

fn read_reply(connection: &mut Connection) -> Reply {
    let mut lines = Vec::new();
    loop {
        let line = connection.line();
        let code: u16 = line
            .get(..3)
            .and_then(|code| code.parse().ok())
            .unwrap_or_else(|| panic!("no reply: {line:?}"));
        let more = line.as_bytes().get(3) == Some(&b'-');
        lines.push(line.get(4..).unwrap_or_default().to_owned());
        if !more {
            return Reply { code, lines };
        }
    }
}
