//! The operator's hand on the queue: what `facteur queue` does, with a server running or without.
//!
//! A running server listens on a Unix socket that only its own user and root can reach. A request
//! is one line of JSON ([`Request`]); the answer is one line for each entry asked for, and one that
//! ends it ([`Answer`]).

use std::{
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use facteur_spool::{Change, Entry, QueueId, RecipientState, Spool, SpoolError};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};
use tracing::{info, warn};

use crate::Queue;

/// What the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verb")]
pub enum Request {
    /// Every entry.
    List,
    /// One entry.
    Show {
        /// Which.
        id: String,
    },
    /// Try it now, or everything.
    Flush {
        /// Which; `None` is all.
        id: Option<String>,
    },
    /// Keep it back.
    Hold {
        /// Which.
        id: String,
    },
    /// Let it go on.
    Release {
        /// Which.
        id: String,
    },
    /// Remove it; nobody is told.
    Delete {
        /// Which.
        id: String,
    },
}

/// One line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An entry that was asked for.
    Entry(Box<Entry>),
    /// Done; nothing follows.
    Done,
    /// Not done; nothing follows.
    Failed(String),
}

/// Where the socket is, below the state folder.
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("queue.sock")
}

/// Longest request line.
const MAX_REQUEST: u64 = 4096;
/// Entries are read this many at a time.
const CHUNK: usize = 100;
/// How long nothing is accepted after that failed: the cause (too many open files) takes its time.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for the operator until the queue stops.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(queue: &Queue, path: &Path) -> io::Result<()> {
    // Under another name until only its owner may use it.
    let unready = path.with_extension("new");
    for stale in [&unready, &path.to_owned()] {
        match std::fs::remove_file(stale) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = UnixListener::bind(&unready)?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unready, path)?;
    let (this, path) = (queue.clone(), path.to_owned());
    queue.spawn_until_stopped(async move {
        let queue = this;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let this = queue.clone();
                    queue.spawn_until_stopped(async move {
                        if let Err(error) = converse(&this, stream).await {
                            info!(%error, "control connection ended early");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, path = %path.display(), "control connection not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    });
    Ok(())
}

async fn converse(queue: &Queue, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    BufReader::new(read.take(MAX_REQUEST))
        .read_line(&mut line)
        .await?;
    let Ok(request) = serde_json::from_str::<Request>(&line) else {
        return send(
            &mut write,
            &Answer::Failed("request not understood".to_owned()),
        )
        .await;
    };
    let mut entries = match &request {
        Request::List => queue.spool().entries(),
        _ => return send_all(&mut write, carry_out_on(queue, request).await).await,
    };
    loop {
        let (rest, chunk) = queue
            .blocking(move || {
                let chunk: Vec<Entry> = entries.by_ref().take(CHUNK).collect();
                (entries, chunk)
            })
            .await;
        entries = rest;
        if chunk.is_empty() {
            return send(&mut write, &Answer::Done).await;
        }
        for entry in chunk {
            send(&mut write, &Answer::Entry(Box::new(entry))).await?;
        }
    }
}

async fn carry_out_on(queue: &Queue, request: Request) -> Vec<Answer> {
    let this = queue.clone();
    queue
        .blocking(move || {
            if let Some(held) = held_back(this.spool(), &request) {
                return vec![held];
            }
            finish((|| {
                match &request {
                    Request::List => {}
                    Request::Show { id } => return Ok(Some(this.spool().entry(&parse(id)?)?)),
                    Request::Flush { id: None } => this.flush_all(),
                    Request::Flush { id: Some(id) } => this.flush(&parse(id)?)?,
                    Request::Hold { id } => this.hold(&parse(id)?, true)?,
                    Request::Release { id } => this.hold(&parse(id)?, false)?,
                    Request::Delete { id } => this.delete(&parse(id)?)?,
                }
                Ok(None)
            })())
        })
        .await
}

/// Does what is wanted where no server runs: on the spool itself, which the caller has opened
/// under the store's lock. What is flushed is tried when a server starts.
pub fn carry_out_offline(spool: &Spool, request: &Request, each: &mut dyn FnMut(Answer)) {
    if *request == Request::List {
        for entry in spool.entries() {
            each(Answer::Entry(Box::new(entry)));
        }
        return each(Answer::Done);
    }
    if let Some(held) = held_back(spool, request) {
        return each(held);
    }
    let now = |entry: Entry| {
        let schedule = facteur_spool::Schedule {
            next_attempt_at: 0,
            attempts: entry.attempts,
        };
        let change = Change {
            schedule: Some(schedule),
            ..Change::default()
        };
        spool.update(&entry.queue_id, &change)
    };
    let held = |id: &str, held| {
        spool.update(
            &parse(id)?,
            &Change {
                held: Some(held),
                ..Change::default()
            },
        )
    };
    let answers = finish((|| {
        match request {
            Request::List => {}
            Request::Show { id } => return Ok(Some(spool.entry(&parse(id)?)?)),
            Request::Flush { id: None } => spool.entries().try_for_each(now)?,
            Request::Flush { id: Some(id) } => now(spool.entry(&parse(id)?)?)?,
            Request::Hold { id } => held(id, true)?,
            Request::Release { id } => held(id, false)?,
            Request::Delete { id } => {
                if !spool.remove(&parse(id)?)? {
                    return Err(SpoolError::Gone);
                }
            }
        }
        Ok(None)
    })());
    answers.into_iter().for_each(each);
}

/// Trying one entry that is kept back would do nothing: it is said.
fn held_back(spool: &Spool, request: &Request) -> Option<Answer> {
    let Request::Flush { id: Some(id) } = request else {
        return None;
    };
    let entry = spool.entry(&QueueId::parse(id)?).ok()?;
    let answer = Answer::Failed("the message is held: release it, and it is tried".to_owned());
    entry.held.then_some(answer)
}

fn parse(id: &str) -> Result<QueueId, SpoolError> {
    QueueId::parse(id).ok_or(SpoolError::Gone)
}

fn finish(result: Result<Option<Entry>, SpoolError>) -> Vec<Answer> {
    match result {
        Ok(Some(entry)) => vec![Answer::Entry(Box::new(entry)), Answer::Done],
        Ok(None) => vec![Answer::Done],
        Err(error) => vec![Answer::Failed(error.to_string())],
    }
}

async fn send_all(
    write: &mut (impl AsyncWriteExt + Unpin),
    answers: Vec<Answer>,
) -> io::Result<()> {
    for answer in &answers {
        send(write, answer).await?;
    }
    Ok(())
}

async fn send(write: &mut (impl AsyncWriteExt + Unpin), answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// Asks a running server; `None` when none listens there.
///
/// # Errors
/// When the connection breaks, or the answer is none.
pub fn ask(path: &Path, request: &Request, each: &mut dyn FnMut(Answer)) -> io::Result<Option<()>> {
    use std::io::{BufRead as _, Write as _};
    let mut stream = match std::os::unix::net::UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    for line in std::io::BufReader::new(stream).lines() {
        let answer: Answer = serde_json::from_str(&line?)?;
        let last = !matches!(answer, Answer::Entry(_));
        each(answer);
        if last {
            return Ok(Some(()));
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// How a recipient stands, in a few words.
pub fn describe(state: &RecipientState) -> String {
    match state {
        RecipientState::Pending { last: None } => "not tried yet".to_owned(),
        RecipientState::Pending { last: Some(status) } => {
            format!("delayed {}: {}", status.enhanced, status.text)
        }
        RecipientState::Failed(status) => format!("failed {}: {}", status.enhanced, status.text),
        RecipientState::Done => "done".to_owned(),
    }
}
