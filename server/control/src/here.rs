//! Asking within this process: where no server runs, the command line does itself what one would.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::{Answer, Answers, AskError, Progress, Request, VERSION, Verbs};

/// As [`crate::ask`], of `verbs` themselves.
///
/// # Errors
/// See [`AskError`].
pub async fn ask_here(
    verbs: &Verbs,
    verb: &str,
    arguments: &impl Serialize,
    item: &mut dyn FnMut(Value) -> io::Result<()>,
    progress: &mut dyn FnMut(&Progress),
) -> Result<Value, AskError> {
    let request = Request {
        version: VERSION,
        verb: verb.to_owned(),
        arguments: serde_json::to_value(arguments).map_err(io::Error::from)?,
    };
    let (answers, mut received) = Answers::new();
    let taken = async move {
        while let Some(answer) = received.recv().await {
            match answer {
                Answer::Progress(made) => progress(&made),
                Answer::Item(value) => item(value)?,
                // Those come from the server's own side of a socket.
                Answer::Done(_) | Answer::Failed(_) => {}
            }
        }
        Ok::<(), io::Error>(())
    };
    let (carried, taken) = tokio::join!(verbs.carry_out(request, answers), taken);
    taken?;
    carried.map_err(|refused| AskError::Failed(refused.0))
}
