//! `MAIL FROM` (RFC 5321 §4.1.1.2).

use std::fmt;

use facteur_address::Address;

use super::{CommandError, parameters, path};

/// The BODY parameter (RFC 6152 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
}

/// `MAIL FROM:<reverse-path> [SIZE=n] [BODY=…] [AUTH=…]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Where failures are reported to; `None` is the null reverse-path `<>`.
    pub reverse_path: Option<Address>,
    /// Declared size of the message in octets (RFC 1870).
    pub size: Option<u64>,
    /// Declared kind of body.
    pub body: Option<BodyType>,
    /// Who submitted it first, as xtext (RFC 4954 §5); nothing trusts it here.
    pub auth: Option<String>,
}

const FORM: CommandError =
    CommandError::Syntax("MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME]");

impl Mail {
    /// From `reverse_path`, without parameters.
    pub fn new(reverse_path: Option<Address>) -> Self {
        Self {
            reverse_path,
            size: None,
            body: None,
            auth: None,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, CommandError> {
        let (address, rest) = path::split(text, "FROM").ok_or(FORM)?;
        if !address.is_ascii() {
            return Err(CommandError::NotAscii);
        }
        let mut mail = Self::new(match address {
            "" => None,
            text => Some(Address::parse(text).map_err(|_| CommandError::ReversePath)?),
        });
        for (name, value) in parameters(rest) {
            mail.set(name, value)?;
        }
        Ok(mail)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), CommandError> {
        let value = value.ok_or(CommandError::Parameter)?;
        if name.eq_ignore_ascii_case("SIZE") && self.size.is_none() {
            let fits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            let size = fits.then(|| value.parse().unwrap_or(u64::MAX));
            self.size = Some(size.ok_or(FORM)?);
        } else if name.eq_ignore_ascii_case("BODY") && self.body.is_none() {
            self.body = Some(if value.eq_ignore_ascii_case("7BIT") {
                BodyType::SevenBit
            } else if value.eq_ignore_ascii_case("8BITMIME") {
                BodyType::EightBitMime
            } else {
                return Err(CommandError::Parameter);
            });
        } else if name.eq_ignore_ascii_case("AUTH") && self.auth.is_none() {
            self.auth = Some(value.to_owned());
        } else {
            return Err(CommandError::Parameter);
        }
        Ok(())
    }
}

impl fmt::Display for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reverse_path {
            Some(address) => write!(f, "MAIL FROM:<{address}>")?,
            None => f.write_str("MAIL FROM:<>")?,
        }
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        match self.body {
            Some(BodyType::SevenBit) => f.write_str(" BODY=7BIT")?,
            Some(BodyType::EightBitMime) => f.write_str(" BODY=8BITMIME")?,
            None => {}
        }
        match &self.auth {
            Some(auth) => write!(f, " AUTH={auth}"),
            None => Ok(()),
        }
    }
}
