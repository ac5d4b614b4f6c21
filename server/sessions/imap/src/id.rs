//! ID (RFC 2971).

use tracing::{enabled, info};

use crate::{
    outcome::{Outcome, Reply},
    session::Session,
};

/// RFC 2971 §3.3: no more than 30 fields, values of no more than 1024 octets.
const MAX_FIELDS: usize = 30;
/// Of a value, as much as a log line bears.
const MAX_LOGGED: usize = 100;

impl Session {
    pub(crate) fn id(&mut self, fields: &[(String, Option<String>)]) -> Outcome {
        if fields.len() > MAX_FIELDS {
            return Err(Reply::bad("ID has more than 30 fields").into());
        }
        if enabled!(tracing::Level::INFO) && !fields.is_empty() {
            let client: Vec<String> = fields
                .iter()
                .filter_map(|(field, value)| Some((field, value.as_ref()?)))
                .filter(|(field, _)| {
                    matches!(
                        field.to_ascii_lowercase().as_str(),
                        "name" | "version" | "os"
                    )
                })
                .map(|(_, value)| value.chars().take(MAX_LOGGED).collect())
                .collect();
            info!(client = ?client.join(" "), "imap client");
        }
        self.out
            .extend_from_slice(b"* ID (\"name\" \"Facteur\")\r\n");
        Ok(Reply::ok("ID completed"))
    }
}
