//! Into mailboxes: quota, Sieve, vacation, redirect, reject.
//!
//! Plans what a message does to each local recipient and writes it into one batch; committing it
//! is the caller's (intake for mail that arrives, queue for mail that waited).

mod domain_quota;
mod filter;
mod options;
mod orders;
mod outbox;
mod plan;
mod put_off;
mod quota_mirror;
mod quota_warning;
mod save_log;
pub mod sieve;
mod world;

pub use domain_quota::DomainQuota;
pub use options::{Options, RedirectSender, SieveOptions};
pub use plan::{Arrived, Deliverer, LocalRecipient, Outcome};
pub use put_off::PutOff;
pub use quota_mirror::QuotaMirror;
pub use quota_warning::{QuotaWarner, QuotaWarning, QuotaWarningError, QuotaWarningOptions};
pub use save_log::SaveLog;
