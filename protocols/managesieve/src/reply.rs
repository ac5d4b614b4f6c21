//! Responses (RFC 5804 §1.2, §1.3).

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

/// What a client can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `ENCRYPT-NEEDED`: passwords need TLS.
    EncryptNeeded,
    /// `QUOTA/MAXSIZE`: the script, or all scripts together, would be too large.
    QuotaMaxSize,
    /// `QUOTA/MAXSCRIPTS`: there would be too many scripts.
    QuotaMaxScripts,
    /// `TRYLATER`: a failure of ours that may pass.
    TryLater,
    /// `ACTIVE`: not on the active script.
    Active,
    /// `NONEXISTENT`: no such script.
    Nonexistent,
    /// `ALREADYEXISTS`: there is such a script.
    AlreadyExists,
    /// `TAG`: what NOOP was given.
    Tag(Bytes),
}

/// The three words a response begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    No,
    Bye,
}

/// Appends a string: quoted where the grammar lets it (1024 octets, no line ends), else a literal
/// as servers send them.
pub fn push_string(out: &mut BytesMut, text: &[u8]) {
    let quotable = |b: &u8| !matches!(*b, b'\r' | b'\n' | 0);
    if text.len() <= 1024 && text.iter().all(quotable) && std::str::from_utf8(text).is_ok() {
        out.extend_from_slice(b"\"");
        for b in text {
            if matches!(*b, b'"' | b'\\') {
                out.extend_from_slice(b"\\");
            }
            out.extend_from_slice(&[*b]);
        }
        out.extend_from_slice(b"\"");
        return;
    }
    // Writing to memory does not fail.
    let _ = write!(out, "{{{}}}\r\n", text.len());
    out.extend_from_slice(text);
}

/// Appends a response line; an empty `text` is left out.
pub(crate) fn push_response(out: &mut BytesMut, status: Status, code: Option<&Code>, text: &str) {
    out.extend_from_slice(match status {
        Status::Ok => b"OK",
        Status::No => b"NO",
        Status::Bye => b"BYE",
    });
    if let Some(code) = code {
        out.extend_from_slice(b" (");
        push_code(out, code);
        out.extend_from_slice(b")");
    }
    if !text.is_empty() {
        out.extend_from_slice(b" ");
        push_string(out, text.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

fn push_code(out: &mut BytesMut, code: &Code) {
    out.extend_from_slice(match code {
        Code::EncryptNeeded => b"ENCRYPT-NEEDED",
        Code::QuotaMaxSize => b"QUOTA/MAXSIZE",
        Code::QuotaMaxScripts => b"QUOTA/MAXSCRIPTS",
        Code::TryLater => b"TRYLATER",
        Code::Active => b"ACTIVE",
        Code::Nonexistent => b"NONEXISTENT",
        Code::AlreadyExists => b"ALREADYEXISTS",
        Code::Tag(tag) => {
            out.extend_from_slice(b"TAG ");
            return push_string(out, tag);
        }
    });
}
