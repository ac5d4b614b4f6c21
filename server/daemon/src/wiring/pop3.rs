//! POP3.

use facteur_config::{Config, sections::Pop3};
use facteur_session_pop3::Options;

/// How POP3 is spoken.
pub(crate) fn options(config: &Config) -> Options {
    let Pop3 {
        pop3_idle_timeout,
        login_greeting,
        pop3_no_flag_updates,
    } = &config.pop3;
    Options {
        greeting: login_greeting.clone(),
        login_timeout: config.auth.login_timeout.0,
        autologout: pop3_idle_timeout.0,
        write_timeout: config.process.client_write_timeout.0,
        no_flag_updates: *pop3_no_flag_updates,
    }
}
