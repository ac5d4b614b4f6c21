//! What the server can do (RFC 5804 §1.7).

use bytes::BytesMut;

use crate::push_string;

/// What the greeting and CAPABILITY tell. It changes when TLS starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// `IMPLEMENTATION`
    pub implementation: String,
    /// `SIEVE`: extensions that scripts may require.
    pub sieve: Vec<&'static str>,
    /// `SASL`: mechanisms, when passwords may cross.
    pub sasl: &'static [&'static str],
    /// Whether passwords may cross: TLS is up, or the listener does not mind.
    pub passwords: bool,
    /// `STARTTLS`
    pub start_tls: bool,
    /// `MAXREDIRECTS`
    pub max_redirects: Option<u32>,
    /// `NOTIFY`: URI schemes of the notification methods; left out when there is none.
    pub notify: Vec<&'static str>,
}

impl Capabilities {
    /// Appends a line for each; `owner` is who is logged in.
    pub(crate) fn push(&self, out: &mut BytesMut, owner: Option<&str>) {
        pair(out, "IMPLEMENTATION", &self.implementation);
        pair(out, "SIEVE", &self.sieve.join(" "));
        let sasl = if self.passwords { self.sasl } else { &[] };
        pair(out, "SASL", &sasl.join(" "));
        if self.start_tls && owner.is_none() {
            out.extend_from_slice(b"\"STARTTLS\"\r\n");
        }
        if let Some(redirects) = self.max_redirects {
            pair(out, "MAXREDIRECTS", &redirects.to_string());
        }
        if !self.notify.is_empty() {
            pair(out, "NOTIFY", &self.notify.join(" "));
        }
        if let Some(owner) = owner {
            pair(out, "OWNER", owner);
        }
        out.extend_from_slice(b"\"UNAUTHENTICATE\"\r\n");
        pair(out, "VERSION", "1.0");
    }
}

fn pair(out: &mut BytesMut, name: &str, value: &str) {
    push_string(out, name.as_bytes());
    out.extend_from_slice(b" ");
    push_string(out, value.as_bytes());
    out.extend_from_slice(b"\r\n");
}
