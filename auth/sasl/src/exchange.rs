//! One authentication exchange, from the mechanism's name to the credentials.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use facteur_wire::Secret;
use zeroize::Zeroizing;

use crate::{Mechanism, login, plain};

/// Longest base64 line we take (RFC 4954 §4: 12288 octets), without its CRLF.
pub const MAX_RESPONSE_LEN: usize = 12288;

/// Padding may be left out, as several clients do; anything else is RFC 4648 §4 to the letter.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the client claims, and its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who the client wants to act as (RFC 4422 §2); empty when it is the same.
    pub authorization_identity: String,
    /// Whose password it is.
    pub authentication_identity: String,
    /// The password.
    pub password: Secret,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this base64 text (perhaps empty) after the protocol's own prefix, and hand the
    /// client's next line to [`Exchange::respond`].
    Challenge(String),
    /// The exchange is over; verify these.
    Done(Credentials),
}

/// Why an exchange ended without credentials. SMTP answers all but [`SaslError::TooLong`]
/// with 501 5.5.2 (RFC 4954 §4), that one with 500 5.5.6; IMAP and POP3 with BAD and -ERR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// The client sent `*`.
    #[error("authentication cancelled")]
    Cancelled,
    /// Not base64.
    #[error("response is not base64")]
    Base64,
    /// Over [`MAX_RESPONSE_LEN`].
    #[error("response is too long")]
    TooLong,
    /// Base64 of something the mechanism has no use for.
    #[error("response does not fit the mechanism")]
    Malformed,
}

/// One exchange. After [`Step::Done`] or an error it is spent, and any further response is
/// [`SaslError::Malformed`].
#[derive(Debug)]
pub struct Exchange(State);

#[derive(Debug)]
enum State {
    Plain,
    Login(login::State),
    Spent,
}

impl Exchange {
    /// Begins. `initial_response` is the base64 text the client sent along with the mechanism
    /// (SASL-IR: RFC 4954 §4, RFC 4959, RFC 5034), if any; `=` or nothing at all stands for an
    /// initial response of zero length.
    ///
    /// # Errors
    /// When the initial response is no good.
    pub fn begin(
        mechanism: Mechanism,
        initial_response: Option<&[u8]>,
    ) -> Result<(Self, Step), SaslError> {
        let mut exchange = Self(match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::Login(login::State::Username),
        });
        let step = match initial_response {
            Some(b"=") => exchange.advance(b"")?,
            Some(text) => exchange.respond(text)?,
            None => Step::Challenge(exchange.first_challenge()),
        };
        Ok((exchange, step))
    }

    /// Takes the client's line (base64 text without CRLF).
    ///
    /// # Errors
    /// [`SaslError`]; the exchange is spent then.
    pub fn respond(&mut self, line: &[u8]) -> Result<Step, SaslError> {
        let result = decode(line).and_then(|response| self.advance(&response));
        if !matches!(result, Ok(Step::Challenge(_))) {
            self.0 = State::Spent;
        }
        result
    }

    fn first_challenge(&self) -> String {
        match &self.0 {
            State::Login(state) => BASE64.encode(state.prompt()),
            State::Plain | State::Spent => String::new(),
        }
    }

    fn advance(&mut self, response: &[u8]) -> Result<Step, SaslError> {
        match std::mem::replace(&mut self.0, State::Spent) {
            State::Plain => plain::parse(response).map(Step::Done),
            State::Login(state) => match state.advance(response)? {
                login::Next::Ask(state) => {
                    let challenge = BASE64.encode(state.prompt());
                    self.0 = State::Login(state);
                    Ok(Step::Challenge(challenge))
                }
                login::Next::Done(credentials) => Ok(Step::Done(credentials)),
            },
            State::Spent => Err(SaslError::Malformed),
        }
    }
}

/// The bytes in a line; wiped when dropped, as the password is in them.
fn decode(line: &[u8]) -> Result<Zeroizing<Vec<u8>>, SaslError> {
    if line == b"*" {
        return Err(SaslError::Cancelled);
    }
    if line.len() > MAX_RESPONSE_LEN {
        return Err(SaslError::TooLong);
    }
    // Sized beforehand: growing would leave copies of the password behind in freed memory.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(line.len())]);
    let len = BASE64
        .decode_slice(line, &mut bytes)
        .map_err(|_| SaslError::Base64)?;
    bytes.truncate(len);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
