//! What IMAP tells of a message without handing it out: ENVELOPE, BODY, BODYSTRUCTURE, sizes, and
//! where each section lies.
//!
//! One pass over bytes that come in chunks, in linear time, holding no more than the header fields
//! it needs and a few dozen bytes per part ([`Limits`]). Offsets are those of the bytes as stored;
//! nothing is decoded. Decoding for search and Sieve is left to others.

mod address_list;
mod boundary;
mod content;
mod crlf;
mod entity;
mod envelope;
pub mod headers;
mod lexer;
mod nstring;
mod scan;
mod scanner;
mod structure;
mod write;

pub use crlf::CrlfWriter;
pub use scan::{Limits, Scanned, scan, scan_reader};
pub use scanner::Scanner;
pub use structure::{ByteRange, Part, PartKind, SectionText, Structure};

#[cfg(test)]
mod tests;
