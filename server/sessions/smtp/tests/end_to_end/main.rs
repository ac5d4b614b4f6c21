//! Whole connections: the driver, intake, delivery and a store in a temporary folder.

mod limits;
mod lmtp;
mod receive;
mod submission;
mod world;
