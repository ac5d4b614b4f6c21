//! A connection that is read line by line.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::PATIENCE;

/// A connection that is read line by line; every read has a limit.
pub struct Connection {
    stream: BufReader<Stream>,
    peer: SocketAddr,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    /// Connects in clear.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn plain(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("nodelay");
        stream
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
            .expect("a time limit");
        Self {
            stream: BufReader::new(Stream::Plain(stream)),
            peer: address,
        }
    }

    /// Connects through TLS, trusting `certificate` only.
    ///
    /// # Panics
    /// When nobody listens, or the handshake fails.
    pub fn tls(address: SocketAddr, certificate: &Path) -> Self {
        Self::plain(address).into_tls(certificate)
    }

    /// Goes on through TLS.
    ///
    /// # Panics
    /// When the handshake fails, or something was read too far.
    #[must_use]
    pub fn into_tls(self, certificate: &Path) -> Self {
        assert!(self.stream.buffer().is_empty(), "bytes before TLS");
        let Stream::Plain(mut socket) = self.stream.into_inner() else {
            panic!("TLS is up already");
        };
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
        roots.add(certificate).expect("a usable certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("TLS");
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).expect("the handshake");
        }
        let stream = Stream::Tls(Box::new(StreamOwned::new(tls, socket)));
        Self {
            stream: BufReader::new(stream),
            peer: self.peer,
        }
    }

    /// Reads a line without its CRLF; `None` at the end.
    ///
    /// # Panics
    /// When the server is silent for too long, or a line does not end in CRLF.
    pub fn try_line(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        match self.stream.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof
                ) =>
            {
                return None;
            }
            Err(error) => panic!("no line from {}: {error}", self.peer),
        }
        assert!(line.ends_with(b"\r\n"), "a line without CRLF: {line:?}");
        line.truncate(line.len() - 2);
        Some(line)
    }

    /// Reads a line of text without its CRLF.
    ///
    /// # Panics
    /// When the connection ends.
    pub fn line(&mut self) -> String {
        let line = self.try_line();
        let line = line.unwrap_or_else(|| panic!("{} closed the connection", self.peer));
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Panics
    /// When they do not come.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("all bytes");
        bytes
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).expect("the connection is open");
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// Says that nothing more will be sent, or nothing more read, on a connection in clear.
    ///
    /// # Panics
    /// Under TLS, or when the connection is closed.
    pub fn shutdown(&mut self, how: Shutdown) {
        let Stream::Plain(socket) = self.stream.get_ref() else {
            panic!("TLS is up");
        };
        socket.shutdown(how).expect("the connection is open");
    }

    /// A connection in clear as what reads and what writes, for two threads.
    ///
    /// # Panics
    /// Under TLS.
    #[must_use]
    pub fn split(self) -> (Self, TcpStream) {
        let Stream::Plain(socket) = self.stream.get_ref() else {
            panic!("TLS is up");
        };
        let writer = socket.try_clone().expect("a second handle");
        (self, writer)
    }

    /// Reads whatever comes to the end.
    ///
    /// # Panics
    /// When the end does not come in time.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                panic!("no end from {}: {error}", self.peer)
            }
            _ => bytes,
        }
    }

    /// Sends a line.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn send_line(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }
}
