//! A server that never has root, and the small parent that does what needs it.
//!
//! Started as root, the program stays a parent that opens listeners, certificates and the
//! configuration, and starts itself again as an unprivileged user. What it opens goes to that child
//! over a socket pair, at the start and whenever the child asks for it again. The parent decides
//! alone what it opens: the child can ask for everything or nothing, and name no file.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Command, ExitStatus, Stdio},
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// Longest name of a thing that is handed over: a path.
const NAME_LIMIT: usize = 8192;

/// What is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The configuration's text; the name is the file's.
    Configuration,
    /// A socket that listens; the name is its listener's `socket_key`.
    Listener,
    /// A certificate or key; the name is the file's.
    File,
}

/// One thing that is handed over.
#[derive(Debug)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// The thing.
    pub fd: OwnedFd,
}

/// What the parent does for the child.
pub trait Supplier: Send + 'static {
    /// Opens everything the child is to have now. What a second call opens again must be the same
    /// socket as before.
    ///
    /// # Errors
    /// For the child's log: what is wrong with the configuration, or what could not be opened.
    fn supply(&mut self) -> Result<Vec<Item>, String>;

    /// The child is ready to serve.
    fn ready(&mut self);

    /// The child accepts no more connections: sockets that stayed open here would let clients wait
    /// for nobody.
    fn stopping(&mut self);
}

const RELOAD: u8 = b'R';
const READY: u8 = b'Y';
const STOPPING: u8 = b'S';
const END: u8 = b'.';
const FAILED: u8 = b'!';
const CONFIGURATION: u8 = b'c';
const LISTENER: u8 = b'l';
const FILE: u8 = b'f';

/// Starts `arguments` of this very program as `uid` and `gid`, serves it, relays SIGHUP, SIGTERM and
/// SIGINT to it, and returns how it ended. The child finds its end of the socket pair as standard
/// input.
///
/// # Errors
/// When the child cannot be started.
pub fn run_parent(
    arguments: &[std::ffi::OsString],
    uid: u32,
    gid: u32,
    supplier: impl Supplier,
) -> io::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before the child is there, so that no signal is lost.
        let mut signals = Signals::new()?;
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        let mut command = Command::new("/proc/self/exe");
        // Setting the user clears the supplementary groups as well.
        command
            .arg0("facteur")
            .args(arguments)
            .uid(uid)
            .gid(gid)
            .stdin(Stdio::from(theirs));
        let mut child = tokio::process::Command::from(command).spawn()?;
        let attendant = std::thread::Builder::new()
            .name("parent".to_owned())
            .spawn(move || attend(&ours, supplier))?;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                signal = signals.next() => {
                    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
                    if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
                        // It may have ended just now; wait() tells.
                        let _ = rustix::process::kill_process(pid, signal);
                    }
                }
            }
        };
        // It ends with the child's end of the socket, and clears up.
        let _ = attendant.join();
        Ok(status)
    })
}

struct Signals {
    hangup: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> rustix::process::Signal {
        use rustix::process::Signal;
        tokio::select! {
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.terminate.recv() => Signal::TERM,
            // From a terminal the child has it too; a second one is no different.
            _ = self.interrupt.recv() => Signal::TERM,
        }
    }
}

/// Serves the child until it is gone.
fn attend(socket: &OwnedFd, mut supplier: impl Supplier) {
    loop {
        let mut request = [0];
        match rustix::net::recv(socket, &mut request, RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            Ok((_, 1)) if request == [READY] => supplier.ready(),
            Ok((_, 1)) if request == [STOPPING] => supplier.stopping(),
            Ok((_, 1)) if request == [RELOAD] => {
                if let Err(error) = hand_over(socket, supplier.supply()) {
                    tracing::error!(%error, "cannot hand over to the server");
                    return;
                }
            }
            _ => return,
        }
    }
}

fn hand_over(socket: &OwnedFd, supplied: Result<Vec<Item>, String>) -> io::Result<()> {
    match supplied {
        Ok(items) => {
            for item in items {
                let kind = match item.kind {
                    Kind::Configuration => CONFIGURATION,
                    Kind::Listener => LISTENER,
                    Kind::File => FILE,
                };
                send(socket, kind, item.name.as_bytes(), Some(item.fd.as_fd()))?;
            }
            send(socket, END, b"", None)
        }
        Err(message) => {
            let message = message.as_bytes();
            let message = message.get(..NAME_LIMIT).unwrap_or(message);
            send(socket, FAILED, message, None)
        }
    }
}

fn send(socket: &OwnedFd, kind: u8, name: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let kind = [kind];
    let data = [IoSlice::new(&kind), IoSlice::new(name)];
    rustix::io::retry_on_intr(|| sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The child's end.
#[derive(Debug)]
pub struct ParentLink {
    socket: OwnedFd,
}

impl ParentLink {
    /// Takes the socket that [`run_parent`] left as standard input, and ends with the parent.
    ///
    /// # Errors
    /// When standard input is no such socket.
    pub fn from_stdin() -> io::Result<Self> {
        let stdin = rustix::stdio::stdin();
        if rustix::net::sockopt::socket_type(stdin)? != SocketType::SEQPACKET {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        // Without its parent the server could not be stopped by whoever started it.
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        Ok(Self { socket })
    }

    /// Asks for everything. Blocks.
    ///
    /// # Errors
    /// What the parent says is wrong.
    pub fn reload(&self) -> Result<Vec<Item>, String> {
        let failed = |error: io::Error| format!("the privileged parent does not answer: {error}");
        self.request(RELOAD).map_err(failed)?;
        let mut items = Vec::new();
        loop {
            let (kind, name, fd) = self.receive().map_err(failed)?;
            let kind = match kind {
                END => return Ok(items),
                FAILED => return Err(name),
                CONFIGURATION => Kind::Configuration,
                LISTENER => Kind::Listener,
                _ => Kind::File,
            };
            let fd = fd.ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?;
            items.push(Item { kind, name, fd });
        }
    }

    /// Says that the server is ready.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn ready(&self) -> io::Result<()> {
        self.request(READY)
    }

    /// Says that no more connections are accepted.
    ///
    /// # Errors
    /// When the parent is gone.
    pub fn stopping(&self) -> io::Result<()> {
        self.request(STOPPING)
    }

    fn request(&self, request: u8) -> io::Result<()> {
        rustix::io::retry_on_intr(|| {
            rustix::net::send(&self.socket, &[request], SendFlags::NOSIGNAL)
        })?;
        Ok(())
    }

    fn receive(&self) -> io::Result<(u8, String, Option<OwnedFd>)> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut data = vec![0; 1 + NAME_LIMIT];
        let received = rustix::io::retry_on_intr(|| {
            recvmsg(
                &self.socket,
                &mut [IoSliceMut::new(&mut data)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        })?;
        let fd = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        let truncated = received
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        data.truncate(received.bytes);
        match data.split_first() {
            Some((kind, name)) if !truncated => {
                Ok((*kind, String::from_utf8_lossy(name).into_owned(), fd))
            }
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    struct Twice {
        calls: usize,
        ready: std::sync::mpsc::Sender<()>,
    }

    impl Supplier for Twice {
        fn supply(&mut self) -> Result<Vec<Item>, String> {
            self.calls += 1;
            if self.calls > 1 {
                return Err("facteur.toml:1: broken".to_owned());
            }
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"key").unwrap();
            rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            Ok(vec![
                Item {
                    kind: Kind::File,
                    name: "/etc/key.pem".to_owned(),
                    fd: file.into(),
                },
                Item {
                    kind: Kind::Listener,
                    name: "*:25".to_owned(),
                    fd: listener.into(),
                },
            ])
        }

        fn ready(&mut self) {
            self.ready.send(()).unwrap();
        }

        fn stopping(&mut self) {
            self.ready.send(()).unwrap();
        }
    }

    #[test]
    fn descriptors_and_errors_reach_the_child() {
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        let (ready, was_ready) = std::sync::mpsc::channel();
        let parent = std::thread::spawn(move || attend(&ours, Twice { calls: 0, ready }));
        let link = ParentLink { socket: theirs };
        let items = link.reload().unwrap();
        let [key, listener] = <[Item; 2]>::try_from(items).unwrap();
        assert_eq!((key.kind, key.name.as_str()), (Kind::File, "/etc/key.pem"));
        let mut text = String::new();
        std::fs::File::from(key.fd)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "key");
        assert_eq!(listener.name, "*:25");
        let listener = std::net::TcpListener::from(listener.fd);
        std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        link.ready().unwrap();
        was_ready.recv().unwrap();
        link.stopping().unwrap();
        was_ready.recv().unwrap();
        assert_eq!(link.reload().unwrap_err(), "facteur.toml:1: broken");
        drop(link);
        parent.join().unwrap();
    }
}
