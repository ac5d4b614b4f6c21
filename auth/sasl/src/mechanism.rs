//! The mechanisms we offer.

use std::{fmt, str::FromStr};

/// A SASL mechanism. Both carry the password itself: they are offered under TLS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// draft-murchison-sasl-login: old, but some clients know nothing else.
    Login,
}

/// No mechanism of ours has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown SASL mechanism")]
pub struct UnknownMechanism;

impl Mechanism {
    /// All, in the order they are announced.
    pub const ALL: [Self; 2] = [Self::Plain, Self::Login];

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }
}

impl FromStr for Mechanism {
    type Err = UnknownMechanism;

    /// Names are compared without regard to case: RFC 4422 §3.1 has upper case only, clients vary.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .ok_or(UnknownMechanism)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_in_any_case_parses_and_display_is_upper_case() {
        assert_eq!("plain".parse(), Ok(Mechanism::Plain));
        assert_eq!("LoGiN".parse(), Ok(Mechanism::Login));
        assert_eq!("CRAM-MD5".parse::<Mechanism>(), Err(UnknownMechanism));
        assert_eq!(Mechanism::Plain.to_string(), "PLAIN");
    }
}
