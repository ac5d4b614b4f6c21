//! `facteur queue`: messages on their way out.
//!
//! Asks the running server; where none runs, opens the store itself.

use std::{io::Write as _, process::ExitCode};

use facteur_config::Config;
use facteur_queue::control::{self, Request};
use facteur_spool::Entry;
use serde_json::Value;

use super::{
    Context,
    server::{self, Listener},
};
use crate::wiring::Paths;

const EXAMPLES: &str = "\
The running server is asked; where none runs, the queue is read and changed where it lies.
A queue id is what the log calls queue_id.

Examples:
  facteur queue list
  facteur queue show 1M7XK4RAJAREZZZV2
  facteur queue flush
  facteur queue delete 1M7XK4RAJAREZZZV2";

/// Arguments of `facteur queue`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// One JSON object a line instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List what waits.
    List,
    /// Show one message: its envelope, and how each recipient stands.
    Show {
        /// Its queue id.
        id: String,
    },
    /// Try a message now, or all of them.
    Flush {
        /// Its queue id; all without one.
        id: Option<String>,
    },
    /// Keep a message back until it is released.
    Hold {
        /// Its queue id.
        id: String,
    },
    /// Let a message that was held go on, at once.
    Release {
        /// Its queue id.
        id: String,
    },
    /// Remove a message. Nobody is told.
    Delete {
        /// Its queue id.
        id: String,
    },
}

impl Verb {
    /// The message it is about.
    fn id(&self) -> Option<&str> {
        match self {
            Self::List | Self::Flush { id: None } => None,
            Self::Flush { id: Some(id) }
            | Self::Show { id }
            | Self::Hold { id }
            | Self::Release { id }
            | Self::Delete { id } => Some(id),
        }
    }

    fn request(&self) -> Request {
        match self {
            Self::List => Request::List,
            Self::Show { id } => Request::Show { id: id.clone() },
            Self::Flush { id } => Request::Flush { id: id.clone() },
            Self::Hold { id } => Request::Hold { id: id.clone() },
            Self::Release { id } => Request::Release { id: id.clone() },
            Self::Delete { id } => Request::Delete { id: id.clone() },
        }
    }
}

/// Runs the verb.
pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<ExitCode> {
    let config = context.load()?.config;
    let request = args.verb.request();
    let mut printer = Printer {
        json: args.json,
        whole: matches!(args.verb, Verb::Show { .. }),
        count: 0,
        broken: None,
    };
    let state = Paths::new(&config).state();
    let asked = match server::ask(&state, control::VERB, &request, &mut printer) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => offline(&config, &request, &mut printer),
        Err(error) => Err(error),
    };
    match printer.broken {
        // Whoever read has seen enough.
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        Some(error) => return Err(error.into()),
        None => {}
    }
    if let Err(why) = asked {
        return Err(match args.verb.id() {
            Some(id) => anyhow::anyhow!("{id}: {why:#}"),
            None => why,
        });
    }
    if request == Request::List && !args.json && printer.count == 0 {
        println!("The queue is empty.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Without a server.
fn offline(config: &Config, request: &Request, printer: &mut Printer) -> anyhow::Result<()> {
    let Some(store) = server::open_store(config)? else {
        // No server ever ran here: nothing waits, and nothing is made for it.
        let empty = matches!(request, Request::List | Request::Flush { id: None });
        anyhow::ensure!(empty, facteur_spool::SpoolError::Gone);
        return Ok(());
    };
    let asked = control::carry_out_offline(store.spool(), request, &mut |entry| {
        printer.take(&entry);
    });
    store.close()?;
    Ok(asked?)
}

/// Prints answers as they come.
struct Printer {
    json: bool,
    whole: bool,
    count: usize,
    broken: Option<std::io::Error>,
}

impl Listener for Printer {
    fn item(&mut self, item: Value) -> std::io::Result<()> {
        self.take(&serde_json::from_value(item)?);
        Ok(())
    }
}

impl Printer {
    fn take(&mut self, entry: &Entry) {
        self.count += 1;
        // A closed pipe (`| head`) is noticed once.
        if self.broken.is_none() {
            self.broken = self.print(entry).err();
        }
    }

    fn print(&self, entry: &Entry) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, entry)?;
            return writeln!(out);
        }
        let sender = match entry.reverse_path.as_str() {
            "" => "<>",
            sender => sender,
        };
        writeln!(
            out,
            "{}  {}  {} bytes  from {}{}",
            entry.queue_id,
            time(entry.accepted_at),
            entry.size,
            visible(sender),
            if entry.held { "  (held)" } else { "" },
        )?;
        if self.whole {
            let origin = &entry.origin;
            writeln!(
                out,
                "    client    {} {}",
                visible(&origin.client),
                visible(&origin.helo)
            )?;
            if let Some(account) = &origin.authenticated {
                writeln!(out, "    account   {}", visible(account))?;
            }
            writeln!(out, "    attempts  {}", entry.attempts)?;
            writeln!(out, "    next      {}", next(entry))?;
        }
        for recipient in &entry.recipients {
            let state = control::describe(&recipient.state);
            writeln!(
                out,
                "    {}: {}",
                visible(&recipient.forward_path),
                visible(&state)
            )?;
            if self.whole && recipient.original != recipient.forward_path {
                writeln!(out, "        sent to {}", visible(&recipient.original))?;
            }
        }
        Ok(())
    }
}

/// Without what a terminal might obey.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// When it is tried next; flushed without a server running it has no time.
fn next(entry: &Entry) -> String {
    match entry.next_attempt_at {
        _ if entry.held => "when it is released".to_owned(),
        0 => "at once".to_owned(),
        at => time(at),
    }
}

fn time(unix: i64) -> String {
    jiff::Timestamp::from_second(unix).map_or_else(|_| unix.to_string(), |time| time.to_string())
}
