//! The domain and its accounts.

use anyhow::Context as _;
use facteur_address::{Address, Domain};
use facteur_config::Config;
use facteur_directory::{AccountChange, Admin, AdminError, NewAccount, NewDomain};

use super::{Account, DOMAIN, Folder, USERS, known_accounts};

/// Digits and letters that nobody mistakes for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes the domain and the accounts where they are missing. An account whose password is not known
/// any more gets another.
pub(super) fn prepare(folder: &Folder) -> anyhow::Result<Vec<Account>> {
    let config = crate::cli::load(&folder.config())?.config;
    let known = known_accounts(folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(in_directory(&config, known))
}

async fn in_directory(config: &Config, known: Vec<Account>) -> anyhow::Result<Vec<Account>> {
    let sql = crate::wiring::directory::open_sql(config, true).await?;
    let admin = Admin::new(&sql);
    unless_there(
        admin
            .add_domain(&NewDomain::new(Domain::parse(DOMAIN)?))
            .await,
    )?;
    let mut accounts = Vec::new();
    for user in USERS {
        let name = format!("{user}@{DOMAIN}");
        let address = Address::parse(&name)?;
        let known = known.iter().find(|account| account.address == name);
        let account = match known {
            Some(account) => account.clone(),
            None => Account {
                address: name,
                password: random_password()?,
            },
        };
        let there = match admin.account(&address).await {
            Ok(_) => true,
            Err(AdminError::Missing(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if !there || known.is_none() {
            let password = facteur_password::hash(account.password.as_bytes())
                .map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?;
            put(&admin, &address, there, password, user).await?;
        }
        accounts.push(account);
    }
    Ok(accounts)
}

async fn put(
    admin: &Admin<'_>,
    address: &Address,
    there: bool,
    password: String,
    user: &str,
) -> anyhow::Result<()> {
    if there {
        let change = AccountChange {
            password: Some(password),
            ..AccountChange::default()
        };
        admin.set_account(address, &change).await?;
    } else {
        let new = NewAccount {
            address: address.clone(),
            password,
            name: user.to_owned(),
            quota: Some(0),
        };
        admin.add_account(&new).await?;
    }
    Ok(())
}

fn unless_there(result: Result<(), AdminError>) -> anyhow::Result<()> {
    match result {
        Ok(()) | Err(AdminError::Exists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// 80 random bits, as four groups.
fn random_password() -> anyhow::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .context("the system has no randomness to give")?;
    let mut password = String::new();
    for (n, byte) in random.iter().enumerate() {
        if n > 0 && n % 4 == 0 {
            password.push('-');
        }
        let digit = ALPHABET.get(usize::from(byte % 32)).copied();
        password.push(char::from(digit.unwrap_or(b'a')));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_passwords_differ_and_need_no_quotes() {
        let (a, b) = (random_password().unwrap(), random_password().unwrap());
        assert_ne!(a, b);
        assert!(a.bytes().all(|b| b == b'-' || b.is_ascii_alphanumeric()));
        assert_eq!(a.len(), 19);
    }
}
