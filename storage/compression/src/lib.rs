//! Compressed messages: what Dovecot's zlib plugin (`mail_compress` since 2.4) writes is read, and
//! zstd is written.
//!
//! A message is compressed by itself, and its first bytes say how ([`Method::detect`]): neither
//! format of the store marks it elsewhere. [`Decompressor`] gives the plain bytes of one from any
//! reader, [`Compressor`] makes the compressed ones. Where a message lies, and what sizes are
//! written beside it, is the formats' and the store's.

mod compressor;
mod decompressor;
mod lz4;
mod method;

pub use compressor::{Compressor, DEFAULT_LEVEL, MAX_LEVEL, MIN_LEVEL};
pub use decompressor::Decompressor;
pub use method::Method;
