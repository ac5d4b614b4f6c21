//! Reading and writing the socket.

use std::{future::poll_fn, io, mem::MaybeUninit, pin::Pin, task::ready, time::Duration};

use bytes::BytesMut;
use facteur_imap::Decoder;
use facteur_runtime::Stream;
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf},
    time::timeout,
};

/// Output is written when so much has gathered, and at the latest before we wait for input.
pub(crate) const FLUSH_AT: usize = 64 * 1024;

/// How much is read at once where a command is awaited.
const READ_SIZE: usize = 4096;
/// How much where a message is on its way.
const BULK_READ_SIZE: usize = 64 * 1024;

/// Waits for input. The buffer it reads into stands on the stack and only while there is something
/// to read: a connection that waits has none.
pub(crate) async fn read(stream: &mut Stream, decoder: &mut Decoder) -> io::Result<()> {
    let count = poll_fn(|cx| {
        let mut space = [MaybeUninit::uninit(); READ_SIZE];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        decoder.feed(buffer.filled());
        std::task::Poll::Ready(io::Result::Ok(buffer.filled().len()))
    })
    .await?;
    ended_if_empty(count)
}

/// The same for a message: straight into the decoder's buffer.
pub(crate) async fn read_bulk(stream: &mut Stream, decoder: &mut Decoder) -> io::Result<()> {
    let buffer = decoder.buffer();
    buffer.reserve(BULK_READ_SIZE);
    let count = stream.read_buf(buffer).await?;
    ended_if_empty(count)
}

/// Acknowledges what has come without waiting for something to send along. A client that writes a
/// message and then, by itself, the CRLF after it holds the CRLF back until we do (RFC 896), and
/// the kernel would take 40 ms over it.
pub(crate) fn acknowledge(stream: &Stream) {
    let tcp = match stream {
        Stream::Tcp(tcp) => tcp,
        Stream::Tls(tls) => tls.get_ref().0,
        _ => return,
    };
    // Only a matter of speed.
    let _ = socket2::SockRef::from(tcp).set_tcp_quickack(true);
}

fn ended_if_empty(count: usize) -> io::Result<()> {
    match count {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Writes everything in `out`. Each piece has its own time, so that a large response over a slow
/// line is not cut off, but a client that reads nothing is.
pub(crate) async fn write_all(
    stream: &mut Stream,
    out: &[u8],
    patience: Duration,
) -> io::Result<()> {
    for piece in out.chunks(FLUSH_AT) {
        timeout(patience, stream.write_all(piece))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
    Ok(())
}

/// Writes what has gathered and hands it to the network; the buffer is empty after.
pub(crate) async fn flush(
    stream: &mut Stream,
    out: &mut BytesMut,
    patience: Duration,
) -> io::Result<()> {
    if out.is_empty() {
        return Ok(());
    }
    write_all(stream, out, patience).await?;
    out.clear();
    timeout(patience, stream.flush())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
