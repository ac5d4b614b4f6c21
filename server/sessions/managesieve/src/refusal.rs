//! Why a command failed, for the client.

use std::borrow::Cow;

use facteur_delivery::sieve::ScriptError;
use facteur_managesieve::Code;
use facteur_store::StoreError;
use tracing::error;

/// A NO: its code and its text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Option<Code>,
    pub(crate) text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code: Some(code),
            text: text.into(),
        }
    }

    pub(crate) fn no_script() -> Self {
        Self::new(Code::Nonexistent, "There is no such script")
    }

    fn try_later() -> Self {
        Self::new(Code::TryLater, "Try again later")
    }
}

impl From<StoreError> for Refusal {
    fn from(cause: StoreError) -> Self {
        match cause {
            StoreError::NoScript => Self::no_script(),
            StoreError::Script(text) | StoreError::Cannot(text) => Self {
                code: None,
                text: text.into(),
            },
            cause => {
                error!(%cause, "scripts could not be read or written");
                Self::try_later()
            }
        }
    }
}

impl From<ScriptError> for Refusal {
    fn from(wrong: ScriptError) -> Self {
        Self {
            code: None,
            text: wrong.to_string().into(),
        }
    }
}
