//! `facteur account sync|check|rebuild|optimize|forget`: what the running server does when it is asked, and
//! the command line itself where none runs.

use std::sync::Arc;

use facteur_address::Address;
use facteur_control::{Answers, Refused, Verbs};
use facteur_directory::Directory;
use facteur_model::{AccountId, AccountSpec};
use facteur_runtime::Bridge;
use facteur_store::{Checked, Forgotten, Optimized, Rebuilt, Store, StoreError, Synced};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::quota_report::QuotaReport;

/// What can be done to accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Sync,
    Check,
    Rebuild,
    Optimize,
    Forget,
    QuotaGet,
    QuotaRecalc,
}

impl Work {
    pub(crate) const ALL: [Self; 7] = [
        Self::Sync,
        Self::Check,
        Self::Rebuild,
        Self::Optimize,
        Self::Forget,
        Self::QuotaGet,
        Self::QuotaRecalc,
    ];

    /// What the control socket calls it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Sync => "account.sync",
            Self::Check => "account.check",
            Self::Rebuild => "account.rebuild",
            Self::Optimize => "account.optimize",
            Self::Forget => "account.forget",
            Self::QuotaGet => "quota.get",
            Self::QuotaRecalc => "quota.recalc",
        }
    }
}

/// Which accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// Their addresses; `None` is all there are.
    pub(crate) accounts: Option<Vec<String>>,
}

/// What became of one account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its address.
    pub(crate) account: String,
    /// What was done.
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What was done to an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Synced(Synced),
    Checked(Checked),
    Rebuilt(Rebuilt),
    Optimized(Optimized),
    Forgotten(Forgotten),
    Quota(QuotaReport),
    /// It could not be done.
    Failed(String),
}

/// What the work needs.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) directory: Arc<dyn Directory>,
    /// Where it may block.
    pub(crate) bridge: Bridge,
}

/// Adds the verbs.
pub(crate) fn verbs(verbs: Verbs, parts: &Parts) -> Verbs {
    Work::ALL.into_iter().fold(verbs, |verbs, work| {
        let parts = parts.clone();
        verbs.with(work.verb(), move |wanted, answers| {
            carry_out(parts.clone(), work, wanted, answers)
        })
    })
}

async fn carry_out(
    parts: Parts,
    work: Work,
    wanted: Wanted,
    answers: Answers,
) -> Result<Value, Refused> {
    let addresses = match &wanted.accounts {
        // Whose home is gone need not be in the directory any more.
        Some(named) if work == Work::Forget => folded(named)?,
        Some(named) => known(&*parts.directory, named).await?,
        None => {
            let all = parts.directory.accounts().await;
            all.map_err(Refused::because)?
        }
    };
    let total = u64::try_from(addresses.len()).unwrap_or(u64::MAX);
    for (address, at) in addresses.iter().zip(0_u64..) {
        // The others wait for a person who may be gone.
        if answers.is_gone() {
            break;
        }
        let steps = Steps {
            answers: answers.clone(),
            account: address.to_string(),
            at,
            accounts: total,
            told: 0,
        };
        if let Some(outcome) = one(&parts, work, address, steps).await {
            let account = address.to_string();
            answers.item(&Report { account, outcome }).await?;
        }
    }
    Ok(Value::Null)
}

fn folded(named: &[String]) -> Result<Vec<Address>, Refused> {
    let address = |name: &String| Address::parse(name).map(|address| address.folded());
    let addresses: Result<_, _> = named.iter().map(address).collect();
    addresses.map_err(Refused::because)
}

/// The accounts named: all must be there before anything is done.
async fn known(directory: &dyn Directory, named: &[String]) -> Result<Vec<Address>, Refused> {
    let mut addresses = Vec::with_capacity(named.len());
    for name in named {
        let address = Address::parse(name).map_err(Refused::because)?.folded();
        match directory.account(&address).await {
            Ok(Some(record)) => addresses.push(record.address.clone()),
            Ok(None) => return Err(Refused(format!("there is no account {address}"))),
            Err(error) => return Err(Refused::because(error)),
        }
    }
    Ok(addresses)
}

/// Does it to one account; `None` when it was removed meanwhile.
async fn one(parts: &Parts, work: Work, address: &Address, mut steps: Steps) -> Option<Outcome> {
    steps.tell(0, 0);
    if work == Work::Forget {
        return Some(forget(parts, address).await);
    }
    let record = match parts.directory.account(address).await {
        Ok(record) => record?,
        Err(error) => return Some(Outcome::Failed(error.to_string())),
    };
    let spec = facteur_account::spec(&record);
    let store = parts.store.clone();
    let done = parts
        .bridge
        .run(move || perform(&store, work, &spec, &mut steps))
        .await;
    let mut outcome = done.unwrap_or_else(|error| Outcome::Failed(error.to_string()));
    if let Outcome::Quota(report) = &mut outcome
        && let Some(recount) = &mut report.recount
    {
        let (directory, messages) = (&parts.directory, report.messages);
        let mirrored = directory.record_usage(address, report.bytes, messages);
        recount.not_mirrored = mirrored.await.err().map(|error| error.to_string());
    }
    Some(outcome)
}

async fn forget(parts: &Parts, address: &Address) -> Outcome {
    let (store, id) = (parts.store.clone(), AccountId::new(&address.to_string()));
    let forgotten = parts.bridge.run(move || store.forget_account(&id)).await;
    forgotten.map_or_else(
        |error| Outcome::Failed(error.to_string()),
        Outcome::Forgotten,
    )
}

fn perform(
    store: &Store,
    work: Work,
    spec: &AccountSpec,
    steps: &mut Steps,
) -> Result<Outcome, StoreError> {
    let mut progress = |done, total| steps.tell(done, total);
    let outcome = match work {
        Work::Sync => Outcome::Synced(store.sync_account(spec)?),
        Work::Check => Outcome::Checked(store.check_account(spec, &mut progress)?),
        Work::Rebuild => {
            tracing::info!(account = %spec.id, "index is rebuilt because the operator asked");
            Outcome::Rebuilt(store.rebuild_account(spec, &mut progress)?)
        }
        Work::Optimize => Outcome::Optimized(store.optimize_account(spec)?),
        Work::Forget => Outcome::Forgotten(store.forget_account(&spec.id)?),
        Work::QuotaGet => Outcome::Quota(QuotaReport::read(store, spec)?),
        Work::QuotaRecalc => Outcome::Quota(QuotaReport::recount(store, spec)?),
    };
    Ok(outcome)
}

/// Tells how far the work is: of one account by its messages, of many by accounts.
struct Steps {
    answers: Answers,
    account: String,
    at: u64,
    accounts: u64,
    /// Percent that were told.
    told: u64,
}

impl Steps {
    fn tell(&mut self, done: u64, total: u64) {
        let percent = done.saturating_mul(100) / total.max(1);
        if done > 0 && percent == self.told {
            return;
        }
        self.told = percent;
        if self.accounts == 1 {
            self.answers.progress(done, total, &self.account);
        } else {
            // Hundredths of accounts, so that a large one moves the bar too.
            let done = self.at.saturating_mul(100).saturating_add(percent);
            let total = self.accounts.saturating_mul(100);
            self.answers.progress(done, total, &self.account);
        }
    }
}
