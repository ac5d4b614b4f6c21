//! `[managesieve]`: users' filters.

use crate::{section::section, setting::Period};

section! {
    /// ManageSieve (RFC 5804), on 4190.
    ManageSieve {
        /// How long a client may be silent; RFC 5804 §1.2 asks for at least 30 minutes.
        managesieve_idle_timeout: Period = Period::minutes(30),
    }
}
