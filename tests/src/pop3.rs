//! A small POP3 client.

use std::{net::SocketAddr, path::Path};

use crate::Connection;

/// A POP3 client that sends what a test says and nothing else.
pub struct Pop3 {
    /// The connection, for what this client does not know.
    pub connection: Connection,
    /// The greeting.
    pub greeting: String,
}

impl Pop3 {
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
        }
    }

    /// USER and PASS.
    ///
    /// # Panics
    /// When they are refused.
    pub fn login(&mut self, user: &str, password: &str) {
        self.must(&format!("USER {user}"));
        self.must(&format!("PASS {password}"));
    }

    /// Sends a command and reads the first line of its response.
    pub fn command(&mut self, command: &str) -> String {
        self.connection.send_line(command);
        self.connection.line()
    }

    /// Sends a command that must be +OK.
    ///
    /// # Panics
    /// When it is not.
    pub fn must(&mut self, command: &str) -> String {
        let response = self.command(command);
        assert!(response.starts_with("+OK"), "{command}: {response}");
        response
    }

    /// Sends a command with a response of several lines, which it returns without their stuffing.
    pub fn lines(&mut self, command: &str) -> Vec<String> {
        self.must(command);
        let mut lines = Vec::new();
        loop {
            let line = self.connection.line();
            match line.strip_prefix('.') {
                Some("") => return lines,
                Some(stuffed) => lines.push(stuffed.to_owned()),
                None => lines.push(line),
            }
        }
    }
}
