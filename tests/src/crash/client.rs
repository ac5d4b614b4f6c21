//! Clients whose server may die at any moment: every call gives `None` from then on.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{PATIENCE, Response, imap::literal_length};

/// What was sent and received since the last crash but one, for whoever looks into a broken promise.
static TRANSCRIPT: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());
const TRANSCRIPT_LINES: usize = 40_000;

/// Adds a line to the transcript.
pub(crate) fn note(line: String) {
    let mut transcript = TRANSCRIPT.lock().unwrap_or_else(PoisonError::into_inner);
    if transcript.len() >= TRANSCRIPT_LINES {
        transcript.pop_front();
    }
    transcript.push_back(line);
}

/// What was said lately.
pub(crate) fn transcript() -> String {
    let transcript = TRANSCRIPT.lock().unwrap_or_else(PoisonError::into_inner);
    let (first, second) = transcript.as_slices();
    [first, second].concat().join("\n")
}

/// A connection of any of the protocols.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    next: u32,
    /// Who this is, in the transcript.
    who: String,
}

impl Client {
    /// Connects and reads the first line.
    pub(crate) fn connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut this = Self {
            stream: BufReader::new(stream),
            next: 1,
            who: address.port().to_string(),
        };
        this.line()?;
        Some(this)
    }

    /// An IMAP connection that is logged in and has told that it knows CONDSTORE.
    pub(crate) fn imap(address: SocketAddr, user: &str) -> Option<Self> {
        let mut this = Self::connect(address)?;
        user.clone_into(&mut this.who);
        this.must(&format!("LOGIN {user} pw"))?;
        this.must("ENABLE CONDSTORE")?;
        Some(this)
    }

    /// An SMTP or LMTP connection that has said hello.
    pub(crate) fn mail(address: SocketAddr, hello: &str) -> Option<Self> {
        let mut this = Self::connect(address)?;
        this.reply(&format!("{hello} client.example"), "250")?;
        Some(this)
    }

    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).ok()?;
        let line = line.strip_suffix(b"\r\n")?;
        let line = String::from_utf8_lossy(line).into_owned();
        note(format!("{} < {line:.160}", self.who));
        Some(line)
    }

    pub(crate) fn send(&mut self, text: &str) -> Option<()> {
        note(format!(
            "{} > {:?}",
            self.who,
            text.get(..160).unwrap_or(text)
        ));
        self.stream.get_mut().write_all(text.as_bytes()).ok()
    }

    /// Sends a line and reads a reply of SMTP, whose code must be `code`.
    ///
    /// # Panics
    /// When it is another.
    pub(crate) fn reply(&mut self, command: &str, code: &str) -> Option<String> {
        self.send(&format!("{command}\r\n"))?;
        loop {
            let line = self.line()?;
            assert!(line.starts_with(code), "{command}: {line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(line);
            }
        }
    }

    /// Waits until there is something to read, not for long.
    pub(crate) fn wait_briefly(&mut self) -> Option<()> {
        let stream = self.stream.get_ref();
        stream
            .set_read_timeout(Some(Duration::from_millis(500)))
            .ok()?;
        // Only a line that is there already is read by others.
        let _ = self.stream.fill_buf();
        self.stream.get_ref().set_read_timeout(Some(PATIENCE)).ok()
    }

    /// Sends a command of IMAP.
    pub(crate) fn command(&mut self, command: &str) -> Option<Response> {
        let tag = self.tag();
        self.send(&format!("{tag} {command}\r\n"))?;
        self.finish(&tag)
    }

    /// As [`Client::command`], and it must be OK.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn must(&mut self, command: &str) -> Option<Response> {
        let response = self.command(command)?;
        let shown = command.get(..200).unwrap_or(command);
        assert!(response.is_ok(), "{shown}: {}", response.tagged);
        Some(response)
    }

    /// APPEND, with a literal that does not wait.
    ///
    /// # Panics
    /// When it is refused.
    pub(crate) fn append(&mut self, arguments: &str, message: &str) -> Option<Response> {
        self.must(&format!(
            "APPEND {arguments} {{{}+}}\r\n{message}",
            message.len()
        ))
    }

    fn tag(&mut self) -> String {
        self.next += 1;
        format!("c{}", self.next)
    }

    fn finish(&mut self, tag: &str) -> Option<Response> {
        let mut untagged = Vec::new();
        loop {
            let mut line = self.line()?;
            while let Some(length) = literal_length(&line) {
                let mut bytes = vec![0; length];
                self.stream.read_exact(&mut bytes).ok()?;
                line.push_str("\r\n");
                line.push_str(&String::from_utf8_lossy(&bytes));
                line.push_str(&self.line()?);
            }
            if let Some(tagged) = line.strip_prefix(tag) {
                let tagged = tagged.trim_start().to_owned();
                return Some(Response { untagged, tagged });
            }
            untagged.push(line.strip_prefix("* ").unwrap_or(&line).to_owned());
        }
    }

    /// A command of ManageSieve, which must be OK.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn sieve(&mut self, command: &str) -> Option<()> {
        self.send(&format!("{command}\r\n"))?;
        self.sieve_ok()
    }

    /// Reads up to OK.
    ///
    /// # Panics
    /// When it is something else.
    pub(crate) fn sieve_ok(&mut self) -> Option<()> {
        loop {
            let line = self.line()?;
            if line.starts_with("OK") {
                return Some(());
            }
            let refused = line.starts_with("NO") || line.starts_with("BYE");
            assert!(!refused, "ManageSieve: {line}");
        }
    }
}
