//! What the server can be asked.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Answers, Gone, Request, VERSION};

/// Why a verb was not carried out, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    /// For a reason that is an error.
    pub fn because(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<Gone> for Refused {
    fn from(gone: Gone) -> Self {
        Self::because(gone)
    }
}

type Carried = BoxFuture<'static, Result<Value, Refused>>;
type Handler = Arc<dyn Fn(Value, Answers) -> Carried + Send + Sync>;

/// The verbs of a server, by name.
#[derive(Clone, Default)]
pub struct Verbs {
    handlers: BTreeMap<&'static str, Handler>,
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.handlers.keys()).finish()
    }
}

impl Verbs {
    /// Has `carry_out` called for `verb`. What it returns ends the answer.
    #[must_use]
    pub fn with<A, F>(
        mut self,
        verb: &'static str,
        carry_out: impl Fn(A, Answers) -> F + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Future<Output = Result<Value, Refused>> + Send + 'static,
    {
        let handler = move |arguments: Value, answers: Answers| -> Carried {
            match serde_json::from_value(arguments) {
                Ok(arguments) => Box::pin(carry_out(arguments, answers)),
                Err(error) => {
                    let refused = Refused(format!("arguments of {verb} not understood: {error}"));
                    Box::pin(std::future::ready(Err(refused)))
                }
            }
        };
        self.handlers.insert(verb, Arc::new(handler));
        self
    }

    pub(crate) async fn carry_out(
        &self,
        request: Request,
        answers: Answers,
    ) -> Result<Value, Refused> {
        if request.version != VERSION {
            return Err(Refused(format!(
                "the server understands requests of version {VERSION}, not {}: restart it, or use the facteur that it runs",
                request.version
            )));
        }
        match self.handlers.get(request.verb.as_str()) {
            Some(handler) => handler(request.arguments, answers).await,
            None => Err(Refused(format!(
                "the server does not know {:?}: it is of another version",
                request.verb
            ))),
        }
    }
}
