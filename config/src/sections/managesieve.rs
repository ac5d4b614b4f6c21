//! `[managesieve]`: users' filters.

use crate::{
    section::section,
    setting::{Period, Size},
};

section! {
    /// ManageSieve (RFC 5804), on 4190.
    ManageSieve {
        /// How long a client may be silent; RFC 5804 §1.2 asks for at least 30 minutes.
        managesieve_idle_timeout: Period = Period::minutes(30),
        /// What the server calls itself.
        managesieve_implementation_string: String = "Facteur".to_owned(),
        /// Largest script.
        sieve_max_script_size: Size = Size::mib(1),
        /// Most scripts of one account; 0 is no limit.
        sieve_quota_max_scripts: usize = 0,
        /// Most bytes of all scripts of one account together; 0 is no limit.
        sieve_quota_max_storage: Size = Size(0),
    }
}
