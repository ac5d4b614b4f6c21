//! The server's side.

use std::{io, path::Path, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{Answer, Answers, Refused, Verbs, socket};

/// Longest request line, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;
/// Connections that are served at once; others wait.
const MAX_CONNECTIONS: usize = 32;
/// Longest wait for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for an asker that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nothing is accepted after that failed: the cause (too many open files) takes its time.
const PAUSE: Duration = Duration::from_secs(1);

/// A control socket that is served until [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    stopping: CancellationToken,
    tasks: TaskTracker,
}

/// Listens at `path` on the current runtime.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, verbs: Verbs) -> io::Result<Server> {
    let listener = socket::bind(path)?;
    let server = Server {
        stopping: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let (stopping, tasks) = (server.stopping.clone(), server.tasks.clone());
    let accepting = accept(listener, Arc::new(verbs), stopping.clone(), tasks.clone());
    tasks.spawn(async move {
        stopping.run_until_cancelled_owned(accepting).await;
    });
    Ok(server)
}

impl Server {
    /// Takes no more requests and ends those under way: what a verb has given to other threads runs
    /// to its end there.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn accept(
    listener: UnixListener,
    verbs: Arc<Verbs>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (verbs, stopping) = (Arc::clone(&verbs), stopping.clone());
                tasks.spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(stream, &verbs, &stopping).await {
                        info!(%error, "control connection ended early");
                    }
                });
            }
            Err(error) => {
                warn!(%error, "control connection not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Whether a process of this user may ask a server of that one. The socket's mode says the same;
/// this holds where somebody changed it.
pub(crate) fn may_ask(peer: u32, own: u32) -> bool {
    peer == 0 || peer == own
}

async fn converse(
    stream: UnixStream,
    verbs: &Verbs,
    stopping: &CancellationToken,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let (read, mut write) = stream.into_split();
    if !may_ask(peer.uid(), rustix::process::geteuid().as_raw()) {
        warn!(
            uid = peer.uid(),
            pid = peer.pid(),
            "control connection of another user refused"
        );
        let why = "only root and the server's own user may ask".to_owned();
        return say(&mut write, &Answer::Failed(why)).await;
    }
    let mut read = BufReader::new(read);
    loop {
        let next = next_request(&mut read);
        let Some(line) = stopping.run_until_cancelled(next).await else {
            return Ok(());
        };
        let Some(line) = line? else { return Ok(()) };
        if !answer(&mut write, verbs, stopping, &line).await? {
            return Ok(());
        }
    }
}

/// The next line; `None` when no more come.
async fn next_request(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = read.take(MAX_REQUEST);
    match timeout(REQUEST_TIMEOUT, limited.read_until(b'\n', &mut line)).await {
        Ok(result) => result?,
        Err(_) => return Ok(None),
    };
    Ok((!line.is_empty()).then_some(line))
}

/// Carries a request out; whether another may follow.
async fn answer(
    write: &mut OwnedWriteHalf,
    verbs: &Verbs,
    stopping: &CancellationToken,
    line: &[u8],
) -> io::Result<bool> {
    // A line that was cut short is none, and what follows it is not a request's beginning.
    let whole = line.last() == Some(&b'\n');
    let (answers, received) = Answers::new();
    let carried = async {
        let carried = async {
            let request = serde_json::from_slice(line)
                .map_err(|error| Refused(format!("request not understood: {error}")))?;
            verbs.carry_out(request, answers).await
        };
        match stopping.run_until_cancelled(carried).await {
            Some(Ok(value)) => Answer::Done(value),
            Some(Err(refused)) => Answer::Failed(refused.0),
            None => Answer::Failed("the server stops".to_owned()),
        }
    };
    let (last, passed) = tokio::join!(carried, pass_on(write, received));
    passed?;
    say(write, &last).await?;
    Ok(whole)
}

/// Writes what the verb says until it has nothing more to say.
async fn pass_on(
    write: &mut OwnedWriteHalf,
    mut received: mpsc::Receiver<Answer>,
) -> io::Result<()> {
    while let Some(answer) = received.recv().await {
        say(write, &answer).await?;
    }
    Ok(())
}

async fn say(write: &mut OwnedWriteHalf, answer: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    match timeout(WRITE_TIMEOUT, write.write_all(&line)).await {
        Ok(written) => written,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::may_ask;

    #[test]
    fn root_and_the_servers_own_user_may_ask_and_nobody_else() {
        assert!(may_ask(0, 65534));
        assert!(may_ask(65534, 65534));
        assert!(!may_ask(1000, 65534));
        assert!(!may_ask(65534, 0));
    }
}
