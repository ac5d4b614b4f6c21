//! `RCPT TO` (RFC 5321 §4.1.1.3).

use std::fmt;

use facteur_address::Address;

use super::{CommandError, ForwardPath, parameters, path};

/// `RCPT TO:<forward-path>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// Where the message is to go.
    pub forward_path: ForwardPath,
}

impl Rcpt {
    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        const FORM: CommandError = CommandError::Syntax("RCPT TO:<address>");
        let (address, rest) = path::split(text, "TO").ok_or(FORM)?;
        if !address.is_ascii() {
            return Err(CommandError::NotAscii);
        }
        let forward_path = if address.eq_ignore_ascii_case("postmaster") {
            ForwardPath::Postmaster
        } else {
            ForwardPath::Address(Address::parse(address).map_err(|_| CommandError::ForwardPath)?)
        };
        // None was announced.
        match parameters(rest).next() {
            Some(_) => Err(CommandError::Parameter),
            None => Ok(Self { forward_path }),
        }
    }
}

impl fmt::Display for Rcpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RCPT TO:<{}>", self.forward_path)
    }
}
