//! LOGIN (draft-murchison-sasl-login-00): the server prompts for a name, then for a password.

use crate::{Credentials, SaslError, plain};

/// How far the exchange is.
#[derive(Debug)]
pub(crate) enum State {
    Username,
    Password { username: String },
}

/// What follows a response.
pub(crate) enum Next {
    Ask(State),
    Done(Credentials),
}

impl State {
    /// The prompts of the draft's examples: some clients look at the first letter.
    pub(crate) fn prompt(&self) -> &'static str {
        match self {
            Self::Username => "Username:",
            Self::Password { .. } => "Password:",
        }
    }

    pub(crate) fn advance(self, response: &[u8]) -> Result<Next, SaslError> {
        if response.is_empty() {
            return Err(SaslError::Malformed);
        }
        match self {
            Self::Username => Ok(Next::Ask(Self::Password {
                username: plain::text(response)?,
            })),
            Self::Password { username } => Ok(Next::Done(Credentials {
                authorization_identity: String::new(),
                authentication_identity: username,
                password: plain::secret(response)?,
            })),
        }
    }
}
