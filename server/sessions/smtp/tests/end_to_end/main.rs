//! Whole connections: the driver, intake, delivery and a store in a temporary folder.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod limits;
mod lmtp;
mod receive;
mod starttls;
mod submission;
mod world;
