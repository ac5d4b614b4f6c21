//! `[log]`: what is written and how.

use crate::{section::section, setting::choice};

choice! {
    /// How log lines look.
    LogFormat {
        /// For people; in colours on a terminal.
        Human = "human",
        /// One JSON object a line.
        Json = "json",
    }
}

section! {
    /// The log, which goes to standard error.
    Log {
        /// How lines look.
        format: LogFormat = LogFormat::Human,
        /// What is written: `error`, `warn`, `info`, `debug` (transcripts without secrets) or `trace`,
        /// also by part: `info,facteur_queue=debug`.
        level: String = "info".to_owned(),
    }
}
