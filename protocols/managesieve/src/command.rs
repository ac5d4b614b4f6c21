//! What a client can ask (RFC 5804 §2).

use bytes::Bytes;
use facteur_wire::Secret;

use crate::{Argument, Line, ScriptName, ScriptNameError};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// §2.1
    Authenticate {
        /// The mechanism's name as written.
        mechanism: String,
        /// Base64, if it came along.
        initial_response: Option<Secret>,
    },
    /// §2.2
    StartTls,
    /// §2.3
    Logout,
    /// §2.4
    Capability,
    /// §2.5
    HaveSpace {
        /// The script that would be put.
        name: ScriptName,
        /// Its size in octets.
        size: u64,
    },
    /// §2.6
    PutScript {
        /// Its name.
        name: ScriptName,
        /// Its text.
        script: Bytes,
    },
    /// §2.7
    ListScripts,
    /// §2.8; `None` (an empty name) makes none active.
    SetActive(Option<ScriptName>),
    /// §2.9
    GetScript(ScriptName),
    /// §2.10
    DeleteScript(ScriptName),
    /// §2.11
    RenameScript {
        /// Its name now.
        from: ScriptName,
        /// Its name to be.
        to: ScriptName,
    },
    /// §2.12
    CheckScript(Bytes),
    /// §2.13, with its tag.
    Noop(Option<Bytes>),
    /// §2.14.1
    Unauthenticate,
}

/// Why a line is no command. The text is what the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No such command.
    #[error("Unknown command")]
    Unknown,
    /// Too few, too many, or of the wrong kind.
    #[error("Wrong arguments")]
    Arguments,
    /// No name of a script.
    #[error(transparent)]
    Name(#[from] ScriptNameError),
}

impl Command {
    /// From a line's words.
    ///
    /// # Errors
    /// [`CommandError`] says what is wrong with it.
    pub fn parse(line: Line) -> Result<Self, CommandError> {
        let mut words = line.into_iter();
        let Some(Argument::Atom(name)) = words.next() else {
            return Err(CommandError::Unknown);
        };
        let mut arguments = Arguments(words);
        let command = match name.to_ascii_uppercase().as_slice() {
            b"AUTHENTICATE" => Self::Authenticate {
                mechanism: text(&arguments.string()?)?,
                initial_response: arguments
                    .string_if_any()?
                    .map(|text| Secret::new(text.to_vec())),
            },
            b"STARTTLS" => Self::StartTls,
            b"LOGOUT" => Self::Logout,
            b"CAPABILITY" => Self::Capability,
            b"HAVESPACE" => Self::HaveSpace {
                name: arguments.name()?,
                size: arguments.number()?,
            },
            b"PUTSCRIPT" => Self::PutScript {
                name: arguments.name()?,
                script: arguments.string()?,
            },
            b"LISTSCRIPTS" => Self::ListScripts,
            b"SETACTIVE" => Self::SetActive(match arguments.string()? {
                name if name.is_empty() => None,
                name => Some(ScriptName::parse(&name)?),
            }),
            b"GETSCRIPT" => Self::GetScript(arguments.name()?),
            b"DELETESCRIPT" => Self::DeleteScript(arguments.name()?),
            b"RENAMESCRIPT" => Self::RenameScript {
                from: arguments.name()?,
                to: arguments.name()?,
            },
            b"CHECKSCRIPT" => Self::CheckScript(arguments.string()?),
            b"NOOP" => Self::Noop(arguments.string_if_any()?),
            b"UNAUTHENTICATE" => Self::Unauthenticate,
            _ => return Err(CommandError::Unknown),
        };
        match arguments.0.next() {
            None => Ok(command),
            Some(_) => Err(CommandError::Arguments),
        }
    }
}

struct Arguments(std::vec::IntoIter<Argument>);

impl Arguments {
    fn string(&mut self) -> Result<Bytes, CommandError> {
        self.string_if_any()?.ok_or(CommandError::Arguments)
    }

    fn string_if_any(&mut self) -> Result<Option<Bytes>, CommandError> {
        match self.0.next() {
            None => Ok(None),
            Some(Argument::String(string)) => Ok(Some(string)),
            Some(_) => Err(CommandError::Arguments),
        }
    }

    fn name(&mut self) -> Result<ScriptName, CommandError> {
        Ok(ScriptName::parse(&self.string()?)?)
    }

    fn number(&mut self) -> Result<u64, CommandError> {
        match self.0.next() {
            Some(Argument::Number(number)) => Ok(number),
            _ => Err(CommandError::Arguments),
        }
    }
}

fn text(string: &[u8]) -> Result<String, CommandError> {
    let text = std::str::from_utf8(string).map_err(|_| CommandError::Arguments)?;
    Ok(text.to_owned())
}
