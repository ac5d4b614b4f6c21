//! What every line protocol shares: CRLF lines within limits, base64 for SASL, redacted secrets.
//! No sockets, no clocks.

mod base64;
mod line_buffer;
mod secret;

pub use base64::{Base64Error, decode_base64, encode_base64};
pub use line_buffer::{LineBuffer, LineError};
pub use secret::Secret;
