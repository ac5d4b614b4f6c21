//! A mail server that says what the test wants.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) mail: String,
    pub(crate) rcpts: Vec<String>,
    pub(crate) data: String,
    pub(crate) tls: bool,
    /// Which connection, from 0.
    pub(crate) connection: usize,
}

/// What to answer to a line (`GREETING` and `.` among them); `None` is the usual. `HANGUP` closes.
pub(crate) type Script = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The server; it ends when this is dropped.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) received: mpsc::UnboundedReceiver<Received>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How it speaks.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) script: Script,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) ehlo: &'static str,
    pub(crate) lmtp: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            script: Arc::new(|_| None),
            tls: None,
            ehlo: "250-peer\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n",
            lmtp: false,
        }
    }
}

impl Manner {
    pub(crate) fn scripted(
        script: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            ..Self::default()
        }
    }
}

impl Peer {
    pub(crate) async fn start(manner: Manner) -> Self {
        Self::at("127.0.0.1:0", manner).await
    }

    pub(crate) async fn at(address: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let conversation = Conversation {
                    manner: manner.clone(),
                    sender: sender.clone(),
                    connection,
                    tls: false,
                };
                tokio::spawn(conversation.begin(stream));
            }
        });
        Self {
            address,
            received,
            task,
        }
    }

    /// `[address]:port`, as a relayhost.
    pub(crate) fn next_hop(&self) -> String {
        format!("[{}]:{}", self.address.ip(), self.address.port())
    }

    pub(crate) async fn next(&mut self) -> Received {
        let next = tokio::time::timeout(std::time::Duration::from_secs(60), self.received.recv());
        next.await.expect("a message in time").unwrap()
    }
}

struct Conversation {
    manner: Manner,
    sender: mpsc::UnboundedSender<Received>,
    connection: usize,
    tls: bool,
}

impl Conversation {
    async fn begin(mut self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        if !self
            .say(&mut stream, "GREETING", "220 peer ESMTP\r\n")
            .await
        {
            return;
        }
        if self.talk(&mut stream).await {
            // Without a certificate it hangs up instead.
            let Some(acceptor) = self.manner.tls.take() else {
                return;
            };
            if let Ok(tls) = acceptor.accept(stream.into_inner()).await {
                self.tls = true;
                self.talk(&mut BufReader::new(tls)).await;
            }
        }
    }

    async fn say(&self, stream: &mut (impl AsyncWrite + Unpin), line: &str, usual: &str) -> bool {
        let answer = (self.manner.script)(line).unwrap_or_else(|| usual.to_owned());
        answer != "HANGUP" && stream.write_all(answer.as_bytes()).await.is_ok()
    }

    /// Talks to the end, or to STARTTLS: then `true`.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut BufReader<S>) -> bool {
        let (mut mail, mut rcpts) = (String::new(), Vec::new());
        loop {
            let mut line = String::new();
            if !matches!(stream.read_line(&mut line).await, Ok(1..)) {
                return false;
            }
            let line = line.trim_end().to_owned();
            let verb = line.get(..4).unwrap_or(&line).to_uppercase();
            let ehlo = if self.manner.tls.is_some() {
                self.manner.ehlo.replacen("\r\n", "\r\n250-STARTTLS\r\n", 1)
            } else {
                self.manner.ehlo.to_owned()
            };
            let scripted = (self.manner.script)(&line);
            let refused = scripted.as_ref().is_some_and(|a| !a.starts_with('2'));
            let usual = match verb.as_str() {
                "EHLO" | "LHLO" => ehlo.as_str(),
                "DATA" if rcpts.is_empty() => "503 no recipients\r\n",
                "DATA" => "354 go on\r\n",
                "QUIT" => "221 bye\r\n",
                _ => "250 2.0.0 ok\r\n",
            };
            let answer = scripted.as_deref().unwrap_or(usual);
            if answer == "HANGUP" || stream.write_all(answer.as_bytes()).await.is_err() {
                return false;
            }
            match verb.as_str() {
                "MAIL" => (mail, rcpts) = (line, Vec::new()),
                "RCPT" if !refused => rcpts.push(line),
                "DATA" if !refused && !rcpts.is_empty() => {
                    let data = read_data(stream).await;
                    let answers = if self.manner.lmtp { rcpts.len() } else { 1 };
                    for _ in 0..answers {
                        if !self.say(stream, ".", "250 2.0.0 taken\r\n").await {
                            return false;
                        }
                    }
                    let received = Received {
                        mail: std::mem::take(&mut mail),
                        rcpts: std::mem::take(&mut rcpts),
                        data,
                        tls: self.tls,
                        connection: self.connection,
                    };
                    let _ = self.sender.send(received);
                }
                "STAR" if !refused => return true,
                "QUIT" => return false,
                _ => {}
            }
        }
    }
}

async fn read_data(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut data = String::new();
    loop {
        let start = data.len();
        if stream.read_line(&mut data).await.unwrap_or(0) == 0 {
            return data;
        }
        if &data[start..] == ".\r\n" {
            data.truncate(start);
            return data;
        }
    }
}
