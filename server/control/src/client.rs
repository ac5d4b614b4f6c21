//! The command line's side. It blocks.

use std::{
    io::{self, BufRead as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use serde::Serialize;
use serde_json::Value;

use crate::{Answer, Progress, Request, VERSION, socket};

/// Why asking came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The server would not, or could not.
    #[error("{0}")]
    Failed(String),
    /// The connection broke, or what came over it is no answer.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Asks the server whose socket is at `path`; `None` when none listens there. Calls `item` with each
/// thing it says, and `progress` with how far it is. An error of `item` ends the conversation.
///
/// # Errors
/// See [`AskError`].
pub fn ask(
    path: &Path,
    verb: &str,
    arguments: &impl Serialize,
    item: &mut dyn FnMut(Value) -> io::Result<()>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Option<Value>, AskError> {
    let mut stream = match socket::by_short_path(path, |path| UnixStream::connect(path)) {
        Ok(stream) => stream,
        Err(error) if is_nobody(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let request = Request {
        version: VERSION,
        verb: verb.to_owned(),
        arguments: serde_json::to_value(arguments).map_err(io::Error::from)?,
    };
    let mut line = serde_json::to_vec(&request).map_err(io::Error::from)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in io::BufReader::new(stream).lines() {
        match serde_json::from_str(&line?).map_err(io::Error::from)? {
            Answer::Progress(made) => progress(&made),
            Answer::Item(value) => item(value)?,
            Answer::Done(value) => return Ok(Some(value)),
            Answer::Failed(why) => return Err(AskError::Failed(why)),
        }
    }
    // It was killed in the middle.
    Err(AskError::Failed(
        "the server ended before it was done".to_owned(),
    ))
}

/// No socket, or one that a killed server left behind.
fn is_nobody(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}
