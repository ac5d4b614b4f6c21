//! `facteur config`

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, bail};
use facteur_config::{Config, EditError, Entry, Loaded, Problem, Problems};
use serde_json::json;

use super::Context;

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  facteur config explain message_size_limit
  facteur config explain queue
  facteur config explain listener.tls";

const SET_EXAMPLES: &str = "\
Examples:
  facteur config set message_size_limit 50M
  facteur config set mynetworks '[\"127.0.0.0/8\", \"192.168.1.0/24\"]'
  facteur config set tls.ssl_cert /etc/ssl/mail.pem tls.ssl_key /etc/ssl/mail.key
  facteur config set listener.imap.address 192.0.2.1:143";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Say what is wrong with the file, line by line; exit status 1 when something is.
    Check,
    /// Print the whole configuration, every key with its documentation.
    Show {
        /// As JSON, one object for each key.
        #[arg(long)]
        json: bool,
        /// The defaults, whatever the file says.
        #[arg(long)]
        defaults: bool,
    },
    /// Print what differs from the defaults.
    Diff {
        /// As JSON, one object for each key.
        #[arg(long)]
        json: bool,
    },
    /// Say what a key does, its default, its value, and where that is set.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// Such as `queue.relayhost` or just `relayhost`; a section, such as `queue`, for all its keys.
        key: String,
    },
    /// Change values in the file; comments and order stay. A running server sees it on SIGHUP.
    ///
    /// Nothing is changed when the result would be refused; values that need each other are set
    /// together.
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// A key, such as `queue.relayhost` or just `relayhost`, and its value: TOML; what is none is
        /// taken as a string. More pairs may follow.
        #[arg(num_args = 2.., value_names = ["KEY", "VALUE"], required = true)]
        changes: Vec<String>,
    },
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match args.verb {
        Verb::Check => {
            let loaded = context.load()?;
            let problems = problems(&loaded);
            if !problems.is_empty() {
                return Err(Problems::new(&loaded.file, problems).into());
            }
            let mut doubts = crate::wiring::doubts(&loaded);
            for doubt in &mut doubts {
                doubt.message.insert_str(0, "warning: ");
            }
            if !doubts.is_empty() {
                eprintln!("{}", Problems::new(&loaded.file, doubts));
            }
            writeln!(out, "{}: sound", context.config.display())?;
        }
        Verb::Show { json, defaults } => {
            let config = if defaults {
                Config::default()
            } else {
                context.load()?.config
            };
            if json {
                write_json(&mut out, facteur_config::entries(&config).iter())?;
            } else {
                out.write_all(facteur_config::to_toml(&config, false).as_bytes())?;
            }
        }
        Verb::Diff { json } => {
            let config = context.load()?.config;
            if json {
                let entries = facteur_config::entries(&config);
                write_json(&mut out, entries.iter().filter(|entry| entry.is_set()))?;
            } else {
                out.write_all(facteur_config::to_toml(&config, true).as_bytes())?;
            }
        }
        Verb::Explain { key } => {
            // What a key means can be asked before there is a file.
            let loaded = context.load().ok();
            explain(&mut out, context, loaded.as_ref(), &key)?;
        }
        Verb::Set { changes } => set(context, &changes)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_json<'a>(
    out: &mut impl std::io::Write,
    entries: impl Iterator<Item = &'a Entry>,
) -> anyhow::Result<()> {
    let all: Vec<_> = entries
        .map(|entry| {
            json!({
                "key": entry.name,
                "value": entry.value,
                "default": entry.default,
                "expected": entry.expected,
                "documentation": entry.doc,
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *out, &all)?;
    writeln!(out)?;
    Ok(())
}

fn explain(
    out: &mut impl std::io::Write,
    context: &Context,
    loaded: Option<&Loaded>,
    key: &str,
) -> anyhow::Result<()> {
    let defaults = Config::default();
    let config = loaded.map_or(&defaults, |loaded| &loaded.config);
    let entries = match facteur_config::explain(config, key) {
        Ok(entries) => entries,
        Err(Some(nearest)) => bail!("there is no key {key}; did you mean {nearest}?"),
        Err(None) => {
            bail!("there is no key {key}; `facteur config show --defaults` lists them all")
        }
    };
    for (n, entry) in entries.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}", entry.name)?;
        for line in entry.doc.lines() {
            writeln!(out, "    {line}")?;
        }
        let takes = facteur_config::wrapped(&entry.expected, 84);
        writeln!(out, "  takes    {}", takes.replace('\n', "\n           "))?;
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        writeln!(out, "  default  {}", text(&entry.default))?;
        writeln!(out, "  value    {}", text(&entry.value))?;
        if let Some(line) = loaded.and_then(|loaded| loaded.origin.get(&entry.name)) {
            writeln!(out, "  set in   {}:{line}", context.config.display())?;
        }
    }
    Ok(())
}

/// What the parts say is wrong, and the certificates.
fn problems(loaded: &Loaded) -> Vec<Problem> {
    let parts = crate::wiring::check(loaded);
    let certificates = crate::wiring::check_certificates(loaded);
    let found = [parts, certificates].into_iter().filter_map(Result::err);
    found.flat_map(|found| found.problems).collect()
}

/// Whether two say the same, wherever it stands by now.
fn is_same(one: &Problem, other: &Problem) -> bool {
    (&one.key, &one.message) == (&other.key, &other.message)
}

fn set(context: &Context, changes: &[String]) -> anyhow::Result<()> {
    let file = &context.config;
    let (pairs, []) = changes.as_chunks::<2>() else {
        bail!("a value is missing: KEY VALUE, and so on");
    };
    let pairs: Vec<_> = pairs
        .iter()
        .map(|[key, value]| (key.as_str(), value.as_str()))
        .collect();
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.with_context(|| format!("cannot read {}", file.display()))?,
    };
    let before = Config::parse(file, &text);
    let text = facteur_config::set(file, &text, &pairs)?;
    // What was wrong before does not keep a person from mending something else.
    let known = before.map_or_else(|_| Vec::new(), |loaded| problems(&loaded));
    let loaded = Config::parse(file, &text)?;
    let mut new = problems(&loaded);
    new.retain(|new| !known.iter().any(|known| is_same(known, new)));
    // Certificates may be named before they are there.
    let files = crate::wiring::certificate_files(&loaded.config);
    if !files.iter().flatten().all(|(_, path)| path.exists()) {
        new.retain(|problem| !files.iter().flatten().any(|(key, _)| *key == problem.key));
    }
    if !new.is_empty() {
        return Err(EditError::Refused(Problems::new(file, new)).into());
    }
    crate::files::replace(file, text.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_changes_nothing_where_check_would_find_something_new() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context {
            config: dir.path().join("facteur.toml"),
        };
        let old = "[queue]\nrelayhost = \"[smtp\"\n";
        std::fs::write(&context.config, old).unwrap();
        let set = |key: &str, value: &str| set(&context, &[key.to_owned(), value.to_owned()]);
        let error = set("log.level", "loud").unwrap_err().to_string();
        assert!(
            error.starts_with("nothing is changed: log.level: "),
            "{error}"
        );
        set("quota_rule", "Trash:nonsense").unwrap_err();
        assert_eq!(std::fs::read_to_string(&context.config).unwrap(), old);
        // What was wrong already is another matter.
        set("log.level", "debug").unwrap();
        set("relayhost", "[smtp.example.org]").unwrap();
    }
}
