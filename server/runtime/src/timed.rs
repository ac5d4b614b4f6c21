//! Reading and writing within time limits, as sessions that answer commands do it.

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::Connection;

/// How a wait for input ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// With bytes, in the buffer.
    Bytes,
    /// The peer has closed its side.
    Closed,
    /// With nothing in the time allowed.
    TimedOut,
    /// The server is stopping: say goodbye.
    Draining,
}

impl Connection {
    /// Reads into the room that `buffer` has at its end; waits at most `limit`.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn receive(
        &mut self,
        buffer: &mut BytesMut,
        limit: Duration,
    ) -> io::Result<Received> {
        tokio::select! {
            biased;
            () = self.drain.requested() => Ok(Received::Draining),
            read = timeout(limit, self.stream.read_buf(buffer)) => match read {
                Ok(Ok(0)) => Ok(Received::Closed),
                Ok(Ok(_)) => Ok(Received::Bytes),
                Ok(Err(error)) => Err(error),
                Err(_) => Ok(Received::TimedOut),
            },
        }
    }

    /// Writes all of `output` and empties it; a write that makes no progress for `limit` fails.
    ///
    /// # Errors
    /// When the connection fails, or [`io::ErrorKind::TimedOut`].
    pub async fn send(&mut self, output: &mut BytesMut, limit: Duration) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        while !output.is_empty() {
            let written = timeout(limit, self.stream.write_buf(output)).await;
            if written.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        timeout(limit, self.stream.flush())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Ends our side, under TLS with the alert that tells the peer so (RFC 8446 §6.1). Whether it
    /// arrives is of no interest any more.
    pub async fn close(&mut self, limit: Duration) {
        let _ = timeout(limit, self.stream.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::UnixStream;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Drain, ListenerSpec, Peer, Protocol, Stream, TlsMode};

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(1);

    fn connection() -> (Connection, UnixStream, CancellationToken) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let spec = ListenerSpec::new("test", Protocol::Pop3, "unix:/none", TlsMode::None);
        let token = CancellationToken::new();
        let drain = Drain::new(token.clone());
        let stream = Stream::Unix(ours);
        let connection = Connection::new(1, stream, Peer::Unix, Arc::new(spec), drain, None);
        (connection, theirs, token)
    }

    #[tokio::test]
    async fn receive_ends_with_bytes_silence_drain_or_close() {
        let (mut connection, mut peer, token) = connection();
        let mut buffer = BytesMut::with_capacity(16);
        peer.write_all(b"hi").await.unwrap();
        assert_eq!(
            connection.receive(&mut buffer, LONG).await.unwrap(),
            Received::Bytes
        );
        assert_eq!(&buffer[..], b"hi");
        assert_eq!(
            connection.receive(&mut buffer, SHORT).await.unwrap(),
            Received::TimedOut
        );
        drop(peer);
        assert_eq!(
            connection.receive(&mut buffer, LONG).await.unwrap(),
            Received::Closed
        );
        token.cancel();
        assert_eq!(
            connection.receive(&mut buffer, LONG).await.unwrap(),
            Received::Draining
        );
    }

    #[tokio::test]
    async fn send_to_a_peer_that_does_not_read_times_out() {
        let (mut connection, peer, _token) = connection();
        let mut output = BytesMut::from(&vec![b'x'; 4 << 20][..]);
        let error = connection.send(&mut output, SHORT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(peer);
        assert!(connection.send(&mut output, LONG).await.is_err());
    }
}
