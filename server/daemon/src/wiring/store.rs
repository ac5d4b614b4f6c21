//! The store.

use anyhow::Context as _;
use facteur_config::{
    Config,
    sections::{Auto, MailFsync, Mailbox, SpecialUse as Use, Storage, ZlibSave},
};
use facteur_model::{MailboxName, SpecialUse};
use facteur_store::{AccountCache, AutoFolder, Checkpoints, Fsync, Options};

use super::{Paths, key::Key};

/// Bodies up to this size are staged in memory: most messages never touch a staging file.
const STAGING_MEMORY: usize = 64 * 1024;
/// A journal with less room would be emptied all the time.
const SMALLEST_JOURNAL: u64 = 4 << 20;

/// Where the store lies and what it makes by itself.
pub(crate) fn options(config: &Config) -> anyhow::Result<Options> {
    let auto_folders = config
        .mailboxes
        .iter()
        .map(|(name, mailbox)| auto_folder(config, name, mailbox))
        .collect::<anyhow::Result<_>>()?;
    Ok(Options {
        state: Paths::new(config).state(),
        mail_root: super::directory::home(config)?.root(),
        auto_folders,
        staging_memory: STAGING_MEMORY,
        ..durability(config)
    })
}

/// What is kept in memory and in the journal, and how safely.
fn durability(config: &Config) -> Options {
    let Storage {
        // For the directory: `directory::home`.
        mail_location: _,
        // For running stores too: `zlib_save`.
        zlib_save: _,
        zlib_save_level: _,
        mail_fsync,
        journal_size,
        checkpoint_interval,
        account_cache_size,
        account_idle_time,
    } = &config.storage;
    Options {
        checkpoints: Checkpoints {
            interval: checkpoint_interval.0,
            journal_size: journal_size.0.max(SMALLEST_JOURNAL),
            background: true,
        },
        cache: AccountCache {
            size: account_cache_size.0,
            idle: account_idle_time.0,
        },
        fsync: match mail_fsync {
            MailFsync::Always => Fsync::Always,
            MailFsync::Optimized => Fsync::Optimized,
            MailFsync::Never => Fsync::Never,
        },
        ..Options::default()
    }
}

/// The level at which new messages are compressed, if they are.
pub(crate) fn zlib_save(config: &Config) -> Option<i32> {
    let Storage {
        zlib_save,
        zlib_save_level,
        ..
    } = &config.storage;
    match zlib_save {
        ZlibSave::No => None,
        ZlibSave::Zstd => i32::try_from(*zlib_save_level).ok(),
    }
}

fn auto_folder(config: &Config, name: &str, mailbox: &Mailbox) -> anyhow::Result<AutoFolder> {
    let Mailbox { auto, special_use } = mailbox;
    Ok(AutoFolder {
        name: mailbox_name(config, name).with_context(|| Key::new(format!("mailbox.{name}")))?,
        create: *auto != Auto::No,
        subscribe: *auto == Auto::Subscribe,
        special_use: special_use.map(|special_use| match special_use {
            Use::All => SpecialUse::All,
            Use::Archive => SpecialUse::Archive,
            Use::Drafts => SpecialUse::Drafts,
            Use::Flagged => SpecialUse::Flagged,
            Use::Junk => SpecialUse::Junk,
            Use::Sent => SpecialUse::Sent,
            Use::Trash => SpecialUse::Trash,
        }),
    })
}

/// A mailbox's name as it stands in the configuration: with the namespaces' separator.
fn mailbox_name(config: &Config, name: &str) -> anyhow::Result<MailboxName> {
    let separator = super::imap::separator(config);
    Ok(MailboxName::parse(&name.replace(separator, "/"))?)
}
