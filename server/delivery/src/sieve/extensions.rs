//! What scripts may require. Each one has a behavioural test in `tests/extensions.rs`, which fails
//! when a line here is missing or too many.

/// The extensions that scripts may require, as the `SIEVE` capability lists them (RFC 5804 §1.7).
pub fn extensions() -> &'static [&'static str] {
    EXTENSIONS
}

const EXTENSIONS: &[&str] = &[
    "fileinto",
    "reject",
    "ereject",
    "envelope",
    "encoded-character",
    "vacation",
    "vacation-seconds",
    "subaddress",
    "comparator-i;octet",
    "comparator-i;ascii-casemap",
    "comparator-i;ascii-numeric",
    "relational",
    "regex",
    "imap4flags",
    "copy",
    "include",
    "variables",
    "body",
    "enotify",
    "environment",
    "mailbox",
    "special-use",
    "fcc",
    "date",
    "index",
    "duplicate",
    "editheader",
    "ihave",
    "mime",
    "foreverypart",
    "extracttext",
    "replace",
    "enclose",
    "spamtest",
    "spamtestplus",
    "virustest",
];

/// The methods that `notify` knows, as the `NOTIFY` capability lists them (RFC 5804 §1.7).
pub fn notify_methods() -> &'static [&'static str] {
    &["mailto"]
}

/// The commands a script may use.
pub(super) const COMMANDS: &[&str] = &[
    "addflag",
    "addheader",
    "break",
    "deleteheader",
    "discard",
    "else",
    "elsif",
    "enclose",
    "ereject",
    "error",
    "extracttext",
    "fileinto",
    "foreverypart",
    "global",
    "if",
    "include",
    "keep",
    "notify",
    "redirect",
    "reject",
    "removeflag",
    "replace",
    "require",
    "return",
    "set",
    "setflag",
    "stop",
    "vacation",
];

/// Extensions whose actions and tests look past the header, or build the message anew.
pub(super) const WANT_BODY: &[&str] = &[
    "body",
    "mime",
    "foreverypart",
    "extracttext",
    "replace",
    "enclose",
    "editheader",
    // What is included may want it.
    "include",
];
