//! `facteur account test`

use std::process::ExitCode;

use facteur_address::{Address, Domain};
use facteur_directory::{Directory, DomainKind, Unavailable};
use facteur_login::{Attempt, Authenticator};
use facteur_wire::Secret;
use serde::Serialize;

use crate::cli::{
    Context,
    directory::{ask_password, print},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The address, as it is given to log in or written to.
    #[arg(value_parser = Address::parse)]
    address: Address,
    /// Only ask the directory, no password.
    #[arg(long)]
    no_login: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of an address. The password's scheme is shown, never the password.
#[derive(Debug, Default, Serialize)]
struct Report {
    address: String,
    domain: Option<&'static str>,
    alias_domain_of: Option<String>,
    account: Option<Account>,
    alias: Option<Vec<String>>,
    catch_all: Option<Vec<String>>,
    login: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Account {
    home: String,
    quota_bytes: Option<u64>,
    quota_messages: Option<u64>,
    password_scheme: Option<String>,
}

/// Status 0: the login works (or, without one, the address is known); 1: not.
pub(super) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let loaded = context.load()?;
    let options = crate::wiring::login::options(&loaded.config)?;
    let scheme = options.default_pass_scheme;
    let password = if args.no_login {
        None
    } else {
        Some(ask_password(false)?)
    };
    let report = context.runtime()?.block_on(async {
        let directory = crate::wiring::directory::open(&loaded.config, false).await?;
        let mut report = look_up(&*directory, &args.address, scheme).await?;
        if let Some(password) = password {
            let attempt = Attempt {
                authentication_identity: args.address.to_string(),
                authorization_identity: String::new(),
                password: Secret::new(password.into_bytes()),
                peer: None,
                service: "account test",
            };
            let login = Authenticator::new(directory, options).login(attempt).await;
            report.login = Some(match login {
                Ok(_) => true,
                Err(facteur_login::LoginError::Failed) => false,
                Err(error) => return Err(error.into()),
            });
        }
        anyhow::Ok(report)
    })?;
    print(args.json, &report, lines(&report))?;
    let known = report.account.is_some() || report.alias.is_some() || report.catch_all.is_some();
    Ok(if report.login.unwrap_or(known) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn look_up(
    directory: &dyn Directory,
    address: &Address,
    default_scheme: facteur_password::Scheme,
) -> Result<Report, Unavailable> {
    let address = address.folded();
    let domain = directory.domain(address.domain()).await?;
    let record = directory.account(&address).await?;
    let target = directory.alias_domain(address.domain()).await?;
    Ok(Report {
        address: address.to_string(),
        domain: domain.map(|domain| match domain.kind {
            DomainKind::Local => "local",
            DomainKind::Relay => "relayed",
        }),
        alias_domain_of: target.as_ref().map(Domain::to_string),
        account: record.map(|record| Account {
            home: record.home.display().to_string(),
            quota_bytes: record.quota.bytes,
            quota_messages: record.quota.messages,
            password_scheme: record.password.as_deref().map(|stored| {
                match facteur_password::scheme_of(stored, default_scheme) {
                    Ok(scheme) => scheme.to_string(),
                    Err(error) => error.to_string(),
                }
            }),
        }),
        alias: directory.alias(&address).await?,
        catch_all: directory.catch_all(address.domain()).await?,
        login: None,
    })
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![match (report.domain, &report.alias_domain_of) {
        (Some(kind), None) => format!("domain:     {kind}"),
        (_, Some(target)) => format!("domain:     an alias of {target}"),
        (None, None) => "domain:     unknown".to_owned(),
    }];
    match &report.account {
        None => lines.push("account:    none".to_owned()),
        Some(account) => {
            lines.push(format!("account:    {}", report.address));
            lines.push(format!("mail home:  {}", account.home));
            let unlimited = || "unlimited".to_owned();
            let bytes = account.quota_bytes.map(|bytes| format!("{bytes} bytes"));
            lines.push(format!("quota:      {}", bytes.unwrap_or_else(unlimited)));
            if let Some(messages) = account.quota_messages {
                lines.push(format!("            {messages} messages"));
            }
            let scheme = account
                .password_scheme
                .as_deref()
                .unwrap_or("none: no login");
            lines.push(format!("password:   {scheme}"));
        }
    }
    for (name, goto) in [
        ("alias:     ", &report.alias),
        ("catch-all: ", &report.catch_all),
    ] {
        if let Some(goto) = goto {
            lines.push(format!("{name} {}", goto.join(", ")));
        }
    }
    if let Some(login) = report.login {
        let stored = report.account.as_ref();
        let result = match stored.map(|account| account.password_scheme.is_some()) {
            _ if login => "the password fits",
            None => "failed: there is no such account",
            Some(false) => "failed: it has no password",
            Some(true) => "failed: the password does not fit",
        };
        lines.push(format!("login:      {result}"));
    }
    lines
}
