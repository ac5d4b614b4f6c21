//! Delivery status notifications: what a sender is told about mail that did not get through
//! (RFC 3464 in RFC 6522's `multipart/report`), and Sieve's rejections (RFC 5429 §2.1.2).
//!
//! Composes bytes only. When a notice is due, and that none answers another (RFC 5321 §4.5.5), is
//! `facteur-queue`'s and `facteur-intake`'s to decide.

mod field;
mod human;
mod report;

pub use report::{Action, Diagnostic, Original, RecipientReport, Report};
