//! Which key of the configuration an error is about.

use std::fmt;

use facteur_config::{Loaded, Problem};

/// Context of an error: the key whose value cannot be used, and perhaps that value.
#[derive(Debug)]
pub(crate) struct Key {
    name: String,
    value: Option<String>,
}

impl Key {
    /// A key by its full name.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: None,
        }
    }

    /// The value, or the part of it, that is wrong.
    pub(super) fn with(self, value: &str) -> Self {
        Self {
            value: Some(value.to_owned()),
            ..self
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.value {
            Some(value) => write!(f, ": {value:?}"),
            None => Ok(()),
        }
    }
}

/// An error as a problem of the file: with the line where the key stands, if it is about one.
pub(super) fn problem(loaded: &Loaded, error: &anyhow::Error) -> Problem {
    let text = format!("{error:#}");
    let Some(key) = error.downcast_ref::<Key>() else {
        return Problem {
            line: None,
            key: String::new(),
            message: text,
        };
    };
    let message = text.strip_prefix(&format!("{}: ", key.name));
    loaded.problem(&key.name, message.unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::Context as _;
    use facteur_config::Config;

    use super::*;

    #[test]
    fn error_about_a_key_stands_at_its_line() {
        let text = "myhostname = \"a.example\"\n[queue]\nrelayhost = \"[b\"\n";
        let loaded = Config::parse(Path::new("facteur.toml"), text).unwrap();
        let cause = anyhow::anyhow!("no next hop");
        let error = cause.context(Key::new("queue.relayhost").with("[b"));
        let found = problem(&loaded, &error);
        assert_eq!(found.line, Some(3));
        assert_eq!(found.key, "queue.relayhost");
        assert_eq!(found.message, "\"[b\": no next hop");
        let other: anyhow::Error = Err::<(), _>(std::fmt::Error).context("else").unwrap_err();
        assert_eq!(problem(&loaded, &other).line, None);
    }
}
