//! Commands (RFC 5321 §4.1): one file per command that has arguments of its own.

mod auth;
mod bdat;
mod mail;
mod path;
mod rcpt;

use bytes::{BufMut, BytesMut};

pub use auth::Auth;
pub use bdat::Bdat;
pub use mail::{BodyType, Mail};
pub use path::ForwardPath;
pub use rcpt::Rcpt;

/// A command of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO` with the client's name (RFC 5321 §4.1.1.1).
    Ehlo(String),
    /// `HELO` with the client's name.
    Helo(String),
    /// `LHLO` with the client's name (RFC 2033 §4.1).
    Lhlo(String),
    /// `MAIL` (RFC 5321 §4.1.1.2).
    Mail(Mail),
    /// `RCPT` (RFC 5321 §4.1.1.3).
    Rcpt(Rcpt),
    /// `DATA` (RFC 5321 §4.1.1.4).
    Data,
    /// `BDAT` (RFC 3030 §2).
    Bdat(Bdat),
    /// `RSET` (RFC 5321 §4.1.1.5).
    Rset,
    /// `NOOP` (RFC 5321 §4.1.1.9).
    Noop,
    /// `VRFY` with what to look for (RFC 5321 §4.1.1.6).
    Vrfy(String),
    /// `HELP` (RFC 5321 §4.1.1.8).
    Help,
    /// `QUIT` (RFC 5321 §4.1.1.10).
    Quit,
    /// `STARTTLS` (RFC 3207 §4).
    StartTls,
    /// `AUTH` (RFC 4954 §4).
    Auth(Auth),
}

/// Why a line is no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such verb: `500 5.5.2`.
    #[error("Command not recognised")]
    Unknown,
    /// A verb of RFC 5321 or its extensions that this server does not have: `502 5.5.1`.
    #[error("Command not implemented")]
    NotImplemented,
    /// The verb of another protocol: a browser or worse is at the other end, so say goodbye.
    #[error("This is SMTP")]
    ForeignProtocol,
    /// The arguments break the grammar, with the form that would be right: `501 5.5.4`.
    #[error("Syntax: {0}")]
    Syntax(&'static str),
    /// The reverse-path is no address: `501 5.1.7`.
    #[error("Bad sender address syntax")]
    ReversePath,
    /// The forward-path is no address: `501 5.1.3`.
    #[error("Bad recipient address syntax")]
    ForwardPath,
    /// An address with characters outside ASCII, without SMTPUTF8: `553 5.6.7` (RFC 6531 §3.5).
    #[error("Address must be ASCII: SMTPUTF8 is not offered")]
    NotAscii,
    /// A parameter of MAIL or RCPT that was not announced: `555 5.5.4`.
    #[error("Parameter not recognised or not implemented")]
    Parameter,
}

impl Command {
    /// Parses a line without its CRLF. Verbs and keywords in any case; white space at the end is
    /// tolerated (RFC 5321 §4.1.1).
    ///
    /// # Errors
    /// [`CommandError`] says what to reply.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = line.trim_ascii_end();
        let end = memchr::memchr(b' ', line).unwrap_or(line.len());
        let (verb, rest) = line.split_at(end);
        let mut upper = [0; 8];
        let folded = upper.get_mut(..verb.len()).ok_or(CommandError::Unknown)?;
        folded.copy_from_slice(verb);
        folded.make_ascii_uppercase();
        let argument = || argument(rest);
        match &*folded {
            b"MAIL" => Mail::parse(argument()?).map(Self::Mail),
            b"RCPT" => Rcpt::parse(argument()?).map(Self::Rcpt),
            b"DATA" => alone(rest, "DATA").map(|()| Self::Data),
            b"BDAT" => Bdat::parse(argument()?).map(Self::Bdat),
            b"EHLO" => name(argument()?, "EHLO hostname").map(Self::Ehlo),
            b"HELO" => name(argument()?, "HELO hostname").map(Self::Helo),
            b"LHLO" => name(argument()?, "LHLO hostname").map(Self::Lhlo),
            b"QUIT" => alone(rest, "QUIT").map(|()| Self::Quit),
            b"RSET" => alone(rest, "RSET").map(|()| Self::Rset),
            b"NOOP" => Ok(Self::Noop),
            b"AUTH" => Auth::parse(argument()?).map(Self::Auth),
            b"STARTTLS" => alone(rest, "STARTTLS").map(|()| Self::StartTls),
            b"VRFY" => match argument()? {
                "" => Err(CommandError::Syntax("VRFY address")),
                text => Ok(Self::Vrfy(text.to_owned())),
            },
            b"HELP" => Ok(Self::Help),
            b"EXPN" | b"ETRN" | b"TURN" | b"ATRN" | b"SEND" | b"SOML" | b"SAML" => {
                Err(CommandError::NotImplemented)
            }
            b"GET" | b"POST" | b"PUT" | b"HEAD" | b"OPTIONS" | b"CONNECT" => {
                Err(CommandError::ForeignProtocol)
            }
            _ => Err(CommandError::Unknown),
        }
    }

    /// Writes it as it goes over the wire, with its CRLF.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Ehlo(name) => put(out, &["EHLO ", name]),
            Self::Helo(name) => put(out, &["HELO ", name]),
            Self::Lhlo(name) => put(out, &["LHLO ", name]),
            Self::Mail(mail) => put(out, &[&mail.to_string()]),
            Self::Rcpt(rcpt) => put(out, &[&rcpt.to_string()]),
            Self::Data => put(out, &["DATA"]),
            Self::Bdat(bdat) => put(out, &[&bdat.to_string()]),
            Self::Rset => put(out, &["RSET"]),
            Self::Noop => put(out, &["NOOP"]),
            Self::Vrfy(text) => put(out, &["VRFY ", text]),
            Self::Help => put(out, &["HELP"]),
            Self::Quit => put(out, &["QUIT"]),
            Self::StartTls => put(out, &["STARTTLS"]),
            Self::Auth(auth) => auth.encode(out),
        }
        out.put_slice(b"\r\n");
    }
}

fn put(out: &mut BytesMut, parts: &[&str]) {
    for part in parts {
        out.put_slice(part.as_bytes());
    }
}

fn argument(rest: &[u8]) -> Result<&str, CommandError> {
    let text = std::str::from_utf8(rest).map_err(|_| CommandError::NotAscii)?;
    if text.chars().any(char::is_control) {
        return Err(CommandError::Syntax("no control characters"));
    }
    Ok(text.trim_start_matches(' '))
}

fn alone(rest: &[u8], form: &'static str) -> Result<(), CommandError> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(CommandError::Syntax(form))
    }
}

/// The client's name. RFC 5321 §4.1.4 forbids to refuse a message because the name is wrong, so
/// this only makes sure that it is one printable word.
fn name(text: &str, form: &'static str) -> Result<String, CommandError> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits {
        Ok(text.to_owned())
    } else {
        Err(CommandError::Syntax(form))
    }
}

/// `name [ "=" value ]` after a path (RFC 5321 §4.1.2 `esmtp-param`).
fn parameters(rest: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    rest.split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        })
}

#[cfg(test)]
mod tests;
