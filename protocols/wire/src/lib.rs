//! What every line protocol shares: CRLF lines within limits, base64 for SASL, redacted secrets.
//! No sockets, no clocks.

mod secret;

pub use secret::Secret;
