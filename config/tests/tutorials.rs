//! What people have today, as a configuration of ours: the settings of common Postfix and Dovecot
//! tutorials must all have a place.

use std::path::Path;

use facteur_config::Config;

/// A virtual mail server on MariaDB with Sieve, quota and several domains.
const MARIADB: &str = r#"
myhostname = "mail.domaine.fr"
mynetworks = ["127.0.0.0/8", "192.168.1.0/24"]
recipient_delimiter = "+"
message_size_limit = 50240000
postmaster_address = "postmaster@domaine.tld"

[smtp]
smtpd_banner = "$myhostname ESMTP (Debian/GNU)"
smtpd_tls_received_header = true
smtpd_sasl_authenticated_header = true
broken_sasl_auth_clients = true
smtpd_recipient_restrictions = ["permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, permit"]
smtpd_data_restrictions = ["reject_unauth_pipelining", "permit"]

[directory]
url = "mysql://postfix:motdepasse@db.example/postfix"

[directory.queries]
relay_domains = "SELECT domain FROM domain WHERE domain='%s' and backupmx = '1' and active = '1'"
virtual_mailbox_domains = "SELECT domain FROM domain WHERE domain='%s' and backupmx = '0' and active = '1'"
virtual_alias_maps = [
    "SELECT goto FROM alias WHERE address='%s' and active = '1'",
    "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and alias.address = CONCAT('%u', '@', alias_domain.target_domain) AND alias.active = 1 AND alias_domain.active='1'",
]
virtual_mailbox_maps = ["SELECT maildir FROM mailbox WHERE username='%s' and active = '1'"]
user_query = "SELECT '/home/virtual/%d/%n' AS home, 'sdbox:/home/virtual/%d/%n' AS mail, concat('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%u' AND active = '1'"
password_query = "SELECT username as user, password FROM mailbox WHERE username = '%u' AND active = '1'"
iterate_query = "SELECT username FROM mailbox WHERE active = '1'"

[storage]
mail_location = "sdbox:/home/virtual/%d/%n"

[quota]
quota_full_tempfail = true

[sieve]
sieve_after = "/home/virtual/sieve/global.sieve"

[imap]
mail_max_userip_connections = 20
imap_max_line_length = 65536

[log]
mail_log_events = ["delete", "undelete", "expunge", "copy", "mailbox_delete", "mailbox_rename", "save", "mailbox_create"]

[tls]
ssl_cert = "/etc/postfix/tls/domaine-cert.pem"
ssl_key = "/etc/postfix/tls/domaine-key.pem"

[process]
user = "vmail"

[[namespace]]
separator = "/"
prefix = ""
inbox = true

[[namespace]]
separator = "/"
prefix = "INBOX/"
inbox = false
hidden = true

[mailbox.Trash]
auto = "subscribe"
special_use = '\Trash'
[mailbox.Drafts]
auto = "subscribe"
special_use = '\Drafts'
[mailbox.Sent]
auto = "subscribe"
special_use = '\Sent'
[mailbox.Spam]
auto = "subscribe"
special_use = '\Junk'
[mailbox.SpamFalse]
auto = "subscribe"
[mailbox.SpamToLearn]
auto = "subscribe"

[[listener]]
protocol = "smtp"
address = "*:25"
[[listener]]
protocol = "submission"
address = "*:587"
require_tls = true
smtpd_client_restrictions = "permit_sasl_authenticated,reject"
[[listener]]
protocol = "lmtp"
address = "*:24"
[[listener]]
protocol = "imap"
address = "*:143"
[[listener]]
protocol = "imap"
address = "*:993"
tls = "implicit"
[[listener]]
protocol = "managesieve"
address = "*:4190"
"#;

/// A small server with a file of users that relays through its provider.
const PASSWD_FILE: &str = r#"
myhostname = "mail.formatux.fr"
mynetworks = "192.168.96.0/19"
[directory]
url = "passwd-file:/etc/dovecot/users"
passwd_file_domains = ["mondomaine.com", "autre.com"]
[queue]
relayhost = "[svrmail.formatux.lan]"
[auth]
plaintext_auth_on_loopback = true
[storage]
mail_location = "maildir:/var/mail/vmail/%d/%n"
"#;

#[test]
fn settings_of_the_tutorials_have_a_place() {
    for text in [MARIADB, PASSWD_FILE] {
        let loaded = Config::parse(Path::new("facteur.toml"), text);
        loaded.unwrap_or_else(|problems| panic!("{problems}"));
    }
}

#[test]
fn configuration_written_by_show_means_the_same() {
    for text in [MARIADB, PASSWD_FILE] {
        let file = Path::new("facteur.toml");
        let config = Config::parse(file, text).unwrap().config;
        for only_changes in [false, true] {
            let shown = facteur_config::to_toml(&config, only_changes);
            let again =
                Config::parse(file, &shown).unwrap_or_else(|error| panic!("{error}\n{shown}"));
            assert_eq!(again.config, config);
        }
    }
}
