//! Sockets that listen: opened here or by the privileged parent.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use socket2::{Domain, Socket, Type};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// `*:port`: every address of the machine.
    Any(u16),
    /// `address:port`
    Inet(SocketAddr),
    /// `unix:/path`
    Unix(PathBuf),
}

/// The text names no place to listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an address to listen on; write \"*:PORT\", \"ADDRESS:PORT\", \"[IPV6]:PORT\" or \"unix:/PATH\""
)]
pub struct BadAddress;

impl ListenAddress {
    /// Reads one from the configuration's form.
    ///
    /// # Errors
    /// When it is none; host names are none, because what they mean may change.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(PathBuf::from(path)))
            } else {
                Err(BadAddress)
            };
        }
        if let Some(port) = text.strip_prefix("*:") {
            return port.parse().map(Self::Any).map_err(|_| BadAddress);
        }
        text.parse().map(Self::Inet).map_err(|_| BadAddress)
    }
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any(port) => write!(f, "*:{port}"),
            Self::Inet(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens.
#[derive(Debug)]
pub struct ListenSocket {
    fd: OwnedFd,
}

pub(crate) enum Accepting {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

impl ListenSocket {
    /// Opens one. A Unix socket gets the permissions `mode` before anybody can connect, and takes
    /// the place of one that a dead process left.
    ///
    /// # Errors
    /// When the address is in use or not ours, or a path cannot be written.
    pub fn open(address: &ListenAddress, mode: u32) -> io::Result<Self> {
        let socket = match address {
            ListenAddress::Any(port) => open_any(*port)?,
            ListenAddress::Inet(address) => open_inet(*address, false)?,
            ListenAddress::Unix(path) => open_unix(path, mode)?,
        };
        Ok(Self { fd: socket.into() })
    }

    /// One that somebody else opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// A second descriptor of the same socket.
    ///
    /// # Errors
    /// When the process has too many open.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
        })
    }

    /// Where it listens: of a port 0 the port it got.
    ///
    /// # Errors
    /// When it is no socket.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        let socket = Socket::from(self.fd.try_clone()?);
        Ok(socket.local_addr()?.as_socket())
    }

    pub(crate) fn into_accepting(self) -> io::Result<Accepting> {
        let socket = Socket::from(self.fd);
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.as_socket().is_some() {
            tokio::net::TcpListener::from_std(socket.into()).map(Accepting::Tcp)
        } else {
            tokio::net::UnixListener::from_std(socket.into()).map(Accepting::Unix)
        }
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_any(port: u16) -> io::Result<Socket> {
    let v6 = SocketAddr::from((IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    open_inet(v6, true).or_else(|error| match error.raw_os_error() {
        // A kernel without IPv6.
        Some(code)
            if code == rustix::io::Errno::AFNOSUPPORT.raw_os_error()
                || code == rustix::io::Errno::ADDRNOTAVAIL.raw_os_error() =>
        {
            open_inet((IpAddr::V4(Ipv4Addr::UNSPECIFIED), port).into(), false)
        }
        _ => Err(error),
    })
}

fn open_inet(address: SocketAddr, both: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(!both)?;
    }
    // A restart must not wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn open_unix(path: &Path, mode: u32) -> io::Result<Socket> {
    refuse_if_in_use(path)?;
    // Bound beside its place and moved there with its permissions set, it is never open to more
    // than `mode` says, and replaces what was left there in one step.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(&beside)?)?;
    let placed = fs::set_permissions(&beside, fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(error) = placed {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok(socket)
}

fn refuse_if_in_use(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is not a socket is in its place",
        )),
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_in_each_form_is_read_and_written_back() {
        for text in ["*:25", "192.0.2.1:143", "[::1]:993", "unix:/run/x/lmtp"] {
            assert_eq!(ListenAddress::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "25", "*:70000", "localhost:25", "unix:lmtp", "::1:25x"] {
            assert_eq!(ListenAddress::parse(text), Err(BadAddress), "{text}");
        }
    }

    #[test]
    fn unix_socket_has_its_mode_and_replaces_a_dead_one_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lmtp");
        let address = ListenAddress::Unix(path.clone());
        let first = ListenSocket::open(&address, 0o600).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            ListenSocket::open(&address, 0o600).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(first);
        let _second = ListenSocket::open(&address, 0o666).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn unix_socket_never_replaces_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mail");
        fs::write(&path, "precious").unwrap();
        assert!(ListenSocket::open(&ListenAddress::Unix(path.clone()), 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn any_address_on_port_zero_gets_a_port() {
        let socket = ListenSocket::open(&ListenAddress::Inet("127.0.0.1:0".parse().unwrap()), 0);
        let local = socket.unwrap().local_addr().unwrap().unwrap();
        assert_ne!(local.port(), 0);
    }
}
