//! The nouns of a mail store: identifiers, flags, names and quota, with no behaviour of their own.
//!
//! What they mean on disk belongs to `facteur-sdbox` and `facteur-index`; what may be done with
//! them to `facteur-store`.

mod account;
mod flags;
mod guid;
mod internal_date;
mod mailbox_name;
mod numbers;
mod quota;
mod quota_rule;
mod quota_threshold;
mod uid_set;

pub use account::{AccountId, AccountSpec, MailFormat};
pub use flags::{Flag, FlagOperation, Flags, Keyword};
pub use guid::Guid;
pub use internal_date::InternalDate;
pub use mailbox_name::{MailboxName, MailboxNameError, SpecialUse};
pub use numbers::{ModSeq, Uid, UidValidity};
pub use quota::{QuotaLimits, Usage};
pub use quota_rule::{FolderRules, QuotaRuleError, QuotaRules};
pub use quota_threshold::{Crossing, QuotaThreshold};
pub use uid_set::UidSet;
