//! Replies (RFC 1939 §3, RFC 2449 §8).

use bytes::{BufMut as _, BytesMut};

/// What a client can act on in an `-ERR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// `[IN-USE]`: another session has the maildrop (RFC 2449 §8.1.2).
    InUse,
    /// `[AUTH]`: the credentials are at fault (RFC 3206 §5).
    Auth,
    /// `[SYS/TEMP]`: a failure of ours that may pass (RFC 3206 §4).
    Temporary,
}

impl ResponseCode {
    fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "[IN-USE] ",
            Self::Auth => "[AUTH] ",
            Self::Temporary => "[SYS/TEMP] ",
        }
    }
}

pub(crate) fn ok(out: &mut BytesMut, text: &str) {
    out.put_slice(b"+OK ");
    out.put_slice(text.as_bytes());
    out.put_slice(b"\r\n");
}

pub(crate) fn err(out: &mut BytesMut, code: Option<ResponseCode>, text: &str) {
    out.put_slice(b"-ERR ");
    out.put_slice(code.map_or("", ResponseCode::as_str).as_bytes());
    out.put_slice(text.as_bytes());
    out.put_slice(b"\r\n");
}
