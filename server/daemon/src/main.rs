//! The mail server.
fn main() {}
