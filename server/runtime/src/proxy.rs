//! The PROXY protocol's header, versions 1 and 2: who really is at the other end of a load
//! balancer's connection.
//!
//! It is read to its last byte and no further, so that what follows is the session's.

use std::{io, net::SocketAddr};

use tokio::{io::AsyncReadExt, net::TcpStream};

/// What every version 2 header begins with (§2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What every version 1 header begins with (§2.1).
const V1_PREFIX: &[u8] = b"PROXY ";
/// Longest version 1 header with its CRLF (§2.1).
const V1_LIMIT: usize = 107;
/// Longest version 2 header we take after its first 16 bytes; the addresses take at most 216, the
/// rest is TLVs.
const V2_LIMIT: usize = 2048;

/// What a header said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxied {
    /// A connection made for somebody: from where, and to which address of the proxy.
    For {
        source: SocketAddr,
        destination: SocketAddr,
    },
    /// The proxy's own (`LOCAL`, a health check), or somebody it cannot tell (`UNKNOWN`): the
    /// socket's own addresses hold.
    Own,
}

/// Reads a header. The caller bounds the time.
pub(crate) async fn read_header(stream: &mut TcpStream) -> io::Result<Proxied> {
    let mut header = vec![0; V2_SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == V2_SIGNATURE {
        read_v2(stream, header).await
    } else if header.starts_with(V1_PREFIX) {
        read_v1(stream, header).await
    } else {
        Err(invalid("the connection does not begin with a PROXY header"))
    }
}

async fn read_v1(stream: &mut TcpStream, mut header: Vec<u8>) -> io::Result<Proxied> {
    // The shortest header is longer than what was read, so the line is not over yet.
    while !header.ends_with(b"\n") {
        let mut ahead = [0; V1_LIMIT];
        let room = V1_LIMIT.saturating_sub(header.len());
        let ahead = ahead.get_mut(..room).unwrap_or_default();
        if ahead.is_empty() {
            return Err(invalid("the PROXY header is too long"));
        }
        let seen = stream.peek(ahead).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let seen = ahead.get(..seen).unwrap_or_default();
        let take = memchr_newline(seen).map_or(seen.len(), |at| at + 1);
        let start = header.len();
        header.resize(start + take, 0);
        stream
            .read_exact(header.get_mut(start..).unwrap_or_default())
            .await?;
    }
    parse_v1(&header)
}

fn memchr_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

fn parse_v1(header: &[u8]) -> io::Result<Proxied> {
    use ppp::v1::{Addresses, Header};
    let header = Header::try_from(header).map_err(|error| invalid(&error.to_string()))?;
    Ok(match header.addresses {
        Addresses::Unknown => Proxied::Own,
        Addresses::Tcp4(a) => Proxied::For {
            source: (a.source_address, a.source_port).into(),
            destination: (a.destination_address, a.destination_port).into(),
        },
        Addresses::Tcp6(a) => Proxied::For {
            source: (a.source_address, a.source_port).into(),
            destination: (a.destination_address, a.destination_port).into(),
        },
    })
}

async fn read_v2(stream: &mut TcpStream, mut header: Vec<u8>) -> io::Result<Proxied> {
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).await?;
    let [_, _, high, low] = rest;
    header.extend_from_slice(&rest);
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_LIMIT {
        return Err(invalid("the PROXY header is too long"));
    }
    let start = header.len();
    header.resize(start + length, 0);
    stream
        .read_exact(header.get_mut(start..).unwrap_or_default())
        .await?;
    parse_v2(&header)
}

fn parse_v2(header: &[u8]) -> io::Result<Proxied> {
    use ppp::v2::{Addresses, Command, Header, Protocol};
    let header = Header::try_from(header).map_err(|error| invalid(&error.to_string()))?;
    if header.command == Command::Local {
        return Ok(Proxied::Own);
    }
    Ok(match (header.protocol, header.addresses) {
        (Protocol::Stream, Addresses::IPv4(a)) => Proxied::For {
            source: (a.source_address, a.source_port).into(),
            destination: (a.destination_address, a.destination_port).into(),
        },
        (Protocol::Stream, Addresses::IPv6(a)) => Proxied::For {
            source: (a.source_address, a.source_port).into(),
            destination: (a.destination_address, a.destination_port).into(),
        },
        // §2.2: what we do not support is taken as UNKNOWN.
        _ => Proxied::Own,
    })
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt, net::TcpListener};

    use super::*;

    /// Sends `bytes` in pieces of `piece` and returns what the header said and what was left.
    async fn exchange(bytes: &[u8], piece: usize) -> (io::Result<Proxied>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let bytes = bytes.to_vec();
        let writer = tokio::spawn(async move {
            for piece in bytes.chunks(piece) {
                // The server closes early on a bad header.
                if client.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        });
        let result = read_header(&mut server).await;
        writer.await.unwrap();
        let mut rest = Vec::new();
        let _ = server.read_to_end(&mut rest).await;
        (result, rest)
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        header.extend(body);
        header
    }

    fn for_v4() -> Proxied {
        Proxied::For {
            source: "192.0.2.7:4000".parse().unwrap(),
            destination: "198.51.100.1:25".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn v1_header_is_read_to_its_end_and_no_further() {
        let input = b"PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\nEHLO x\r\nNOOP\r\n";
        for piece in [1, 7, input.len()] {
            let (result, rest) = exchange(input, piece).await;
            assert_eq!(result.unwrap(), for_v4());
            assert_eq!(rest, b"EHLO x\r\nNOOP\r\n");
        }
    }

    #[tokio::test]
    async fn v1_of_ipv6_and_unknown_are_understood() {
        let (result, _) = exchange(b"PROXY TCP6 2001:db8::1 ::1 4000 25\r\n", 64).await;
        assert!(matches!(result.unwrap(), Proxied::For { source, .. } if source.is_ipv6()));
        let (result, rest) = exchange(b"PROXY UNKNOWN ffff:: :: 1 2\r\nX", 64).await;
        assert_eq!(result.unwrap(), Proxied::Own);
        assert_eq!(rest, b"X");
        let (result, _) = exchange(b"PROXY UNKNOWN\r\n", 64).await;
        assert_eq!(result.unwrap(), Proxied::Own);
    }

    #[tokio::test]
    async fn v2_header_is_read_to_its_end_and_no_further() {
        let body = [192, 0, 2, 7, 198, 51, 100, 1, 0x0f, 0xa0, 0, 25];
        let mut input = v2(1, 0x11, &body);
        input.extend(b"EHLO x\r\n");
        for piece in [1, 5, input.len()] {
            let (result, rest) = exchange(&input, piece).await;
            assert_eq!(result.unwrap(), for_v4());
            assert_eq!(rest, b"EHLO x\r\n");
        }
    }

    #[tokio::test]
    async fn v2_local_and_unspecified_keep_the_socket_addresses() {
        for header in [v2(0, 0x00, b""), v2(1, 0x00, b"")] {
            let (result, _) = exchange(&header, 64).await;
            assert_eq!(result.unwrap(), Proxied::Own);
        }
    }

    #[tokio::test]
    async fn header_that_is_none_or_too_long_is_refused() {
        let mut long = V2_SIGNATURE.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        let mut endless = b"PROXY TCP4 ".to_vec();
        endless.extend([b'1'; 200]);
        for input in [&b"EHLO client.example\r\n"[..], &long, &endless] {
            let (result, _) = exchange(input, 4096).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        let (result, _) = exchange(b"PROXY TCP4 1.2.3.4", 4096).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
