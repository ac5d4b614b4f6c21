//! The commands on scripts (RFC 5804 §2.5 to §2.12). All of this may block.

use facteur_delivery::sieve;
use facteur_managesieve::{Code, ScriptName};
use facteur_store::{Account, ScriptInfo};

use crate::{Options, refusal::Refusal};

/// HAVESPACE (§2.5).
pub(crate) fn have_space(
    account: &Account,
    options: &Options,
    name: &ScriptName,
    size: u64,
) -> Result<(), Refusal> {
    if size > options.max_script_size {
        let text = format!("A script may have {} octets", options.max_script_size);
        return Err(Refusal::new(Code::QuotaMaxSize, text));
    }
    if options.max_scripts == 0 && options.max_storage == 0 {
        return Ok(());
    }
    let others: Vec<ScriptInfo> = account
        .scripts()?
        .into_iter()
        .filter(|script| script.name != name.as_str())
        .collect();
    if options.max_scripts != 0 && others.len() >= options.max_scripts {
        let text = format!("There may be {} scripts", options.max_scripts);
        return Err(Refusal::new(Code::QuotaMaxScripts, text));
    }
    if options.max_storage != 0 {
        let mut total = size;
        for other in &others {
            total += octets(&account.script(&other.name)?);
        }
        if total > options.max_storage {
            let text = format!("All scripts may have {} octets", options.max_storage);
            return Err(Refusal::new(Code::QuotaMaxSize, text));
        }
    }
    Ok(())
}

/// PUTSCRIPT (§2.6): a script with an error is not kept.
pub(crate) fn put(
    account: &Account,
    options: &Options,
    name: &ScriptName,
    script: &[u8],
) -> Result<(), Refusal> {
    have_space(account, options, name, octets(script))?;
    sieve::check(script)?;
    Ok(account.put_script(name.as_str(), script)?)
}

/// CHECKSCRIPT (§2.12).
pub(crate) fn check(options: &Options, script: &[u8]) -> Result<(), Refusal> {
    if octets(script) > options.max_script_size {
        let text = format!("A script may have {} octets", options.max_script_size);
        return Err(Refusal::new(Code::QuotaMaxSize, text));
    }
    Ok(sieve::check(script)?)
}

/// SETACTIVE (§2.8). A script that came by another way than PUTSCRIPT may be broken: it would
/// silently not run.
pub(crate) fn set_active(account: &Account, name: Option<&ScriptName>) -> Result<(), Refusal> {
    if let Some(name) = name {
        sieve::check(&account.script(name.as_str())?)?;
    }
    Ok(account.set_active_script(name.map(ScriptName::as_str))?)
}

/// DELETESCRIPT (§2.10): not the active one.
pub(crate) fn delete(account: &Account, name: &ScriptName) -> Result<(), Refusal> {
    let scripts = account.scripts()?;
    let Some(script) = find(&scripts, name) else {
        return Err(Refusal::no_script());
    };
    if script.active {
        return Err(Refusal::new(Code::Active, "The script is active"));
    }
    Ok(account.delete_script(name.as_str())?)
}

/// RENAMESCRIPT (§2.11): the active one stays active, another is not overwritten.
pub(crate) fn rename(account: &Account, from: &ScriptName, to: &ScriptName) -> Result<(), Refusal> {
    let scripts = account.scripts()?;
    if find(&scripts, from).is_none() {
        return Err(Refusal::no_script());
    }
    if find(&scripts, to).is_some() {
        let text = "There is a script of that name";
        return Err(Refusal::new(Code::AlreadyExists, text));
    }
    Ok(account.rename_script(from.as_str(), to.as_str())?)
}

fn find<'a>(scripts: &'a [ScriptInfo], name: &ScriptName) -> Option<&'a ScriptInfo> {
    scripts.iter().find(|script| script.name == name.as_str())
}

fn octets(script: &[u8]) -> u64 {
    u64::try_from(script.len()).unwrap_or(u64::MAX)
}
