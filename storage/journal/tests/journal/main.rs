//! The journal by itself, on disks that fail, die and forget.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where it is surprised"
)]

mod basics;
mod crash;
mod damage;
mod failure;
mod group;
mod power;
mod rig;
