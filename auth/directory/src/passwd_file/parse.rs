//! Dovecot's passwd-file: `user:{SCHEME}password:uid:gid:gecos:home:shell:extra fields`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use facteur_address::{Address, Domain};

use super::PasswdFileOptions;
use crate::{AccountRecord, MailHome, quota};

/// A line that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) accounts: HashMap<Address, Arc<AccountRecord>>,
    pub(super) domains: HashSet<Domain>,
    pub(super) errors: Vec<LineError>,
}

/// Reads all lines; one that cannot be read does not take the others with it.
pub(super) fn parse(text: &str, options: &PasswdFileOptions) -> Contents {
    let mut contents = Contents {
        domains: options.domains.iter().cloned().collect(),
        ..Contents::default()
    };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = parse_line(line, options).and_then(|record| {
            if contents.accounts.contains_key(&record.address) {
                Err(format!(
                    "{} is there twice; the first one counts",
                    record.address
                ))
            } else {
                Ok(record)
            }
        });
        match entry {
            Ok(record) => {
                contents.domains.insert(record.address.domain().clone());
                contents
                    .accounts
                    .insert(record.address.clone(), Arc::new(record));
            }
            Err(message) => contents.errors.push(LineError {
                line: index + 1,
                message,
            }),
        }
    }
    contents
}

fn parse_line(line: &str, options: &PasswdFileOptions) -> Result<AccountRecord, String> {
    // The extra fields may have colons of their own.
    let mut fields = line.splitn(8, ':');
    let user = fields.next().unwrap_or("").trim();
    let password = fields.next().unwrap_or("");
    let home = fields.nth(3);
    let extra = fields.nth(1).unwrap_or("");
    let address = parse_user(user, options)?;
    let mut mail = None;
    let mut login = true;
    for field in extra.split_ascii_whitespace() {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        match name {
            "userdb_mail" => mail = Some(value),
            // Dovecot's way to say that nobody may log in, or anybody: the latter is not for us.
            "nologin" | "nopassword" => login = false,
            // allow_nets would widen access if it were ignored.
            "allow_nets" => return Err("allow_nets is not supported".to_owned()),
            _ => {}
        }
    }
    let mut unreadable = None;
    let rules = quota::rules(
        |name| {
            let mut fields = extra.split_ascii_whitespace();
            fields.find_map(|field| {
                field
                    .strip_prefix("userdb_")?
                    .strip_prefix(name)?
                    .strip_prefix('=')
            })
        },
        |rule, error| unreadable = Some(format!("quota rule {rule:?} cannot be read: {error}")),
    );
    if let Some(error) = unreadable {
        return Err(error);
    }
    let MailHome { path: home, format } = options
        .home
        .resolve(&address, home, mail)
        .map_err(|error| error.to_string())?;
    Ok(AccountRecord {
        password: (login && !password.is_empty()).then(|| password.to_owned()),
        address,
        home,
        format,
        quota: options.quota.limits(rules),
    })
}

fn parse_user(user: &str, options: &PasswdFileOptions) -> Result<Address, String> {
    let (local, domain) = match user.rsplit_once('@') {
        Some((local, domain)) => (
            local,
            Domain::parse(domain).map_err(|error| format!("{domain:?}: {error}"))?,
        ),
        None => {
            let domain = options.default_domain.clone();
            (
                user,
                domain.ok_or_else(|| format!("{user:?} has no domain"))?,
            )
        }
    };
    if local.is_empty() {
        return Err("the user has no name".to_owned());
    }
    Address::from_parts(local, domain)
        .map(|address| address.folded())
        .map_err(|error| format!("{user:?}: {error}"))
}
