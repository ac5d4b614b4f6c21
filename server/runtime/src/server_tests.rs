use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{Connection, Protocol, TlsMode, TlsOptions, self_signed};

/// Greets with its word and the peer's address, then waits for the client to go or the server to
/// stop.
struct Greeter(&'static str);

impl Service for Greeter {
    fn serve(self: Arc<Self>, mut connection: Connection) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let greeting = format!("{} {}\n", self.0, connection.peer);
            let _ = connection.stream.write_all(greeting.as_bytes()).await;
            let mut byte = [0];
            tokio::select! {
                () = connection.drain.requested() => {
                    let _ = connection.stream.write_all(b"bye\n").await;
                }
                _ = connection.stream.read(&mut byte) => {
                    if byte == *b"!" {
                        panic!("a defect in a session");
                    }
                }
            }
        })
    }
}

/// Never ends by itself.
struct Stubborn;

impl Service for Stubborn {
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let _held = connection;
            std::future::pending::<()>().await;
        })
    }
}

fn server(total: usize, per_address: usize) -> Server {
    let certificate = self_signed(&["localhost".to_owned()]).unwrap();
    let tls = Tls::new(&TlsOptions::default(), &[certificate]).unwrap();
    let options = ServerOptions {
        limits: LimitOptions {
            total,
            smtp_per_address: per_address,
            per_address,
            exempt: Vec::new(),
        },
        proxy_timeout: Duration::from_secs(5),
        proxy_networks: vec!["127.0.0.0/8".parse().unwrap()],
    };
    Server::new(options, tls)
}

fn spec(address: &str) -> ListenerSpec {
    ListenerSpec::new("test", Protocol::Smtp, address, TlsMode::None)
}

fn wanted(spec: ListenerSpec, service: impl Service) -> Wanted {
    Wanted {
        spec: Arc::new(spec),
        service: Arc::new(service),
        socket: None,
    }
}

fn listen(server: &Server, want: Wanted) -> SocketAddr {
    server.listen(vec![want]).unwrap()[0].local.unwrap()
}

async fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        line.push(byte);
        if byte == b'\n' {
            break;
        }
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn connection_beyond_a_limit_is_told_so_and_closed() {
    let server = server(1, 10);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Greeter("hello")));
    let mut first = TcpStream::connect(address).await.unwrap();
    line(&mut first).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut second).await.starts_with("421 4.7.0 "));
    assert_eq!(line(&mut second).await, "");
}

#[tokio::test]
async fn address_beyond_its_limit_is_told_so_and_closed() {
    let server = server(10, 1);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Greeter("hello")));
    let mut first = TcpStream::connect(address).await.unwrap();
    line(&mut first).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut second).await.starts_with("421 4.7.0 "));
}

#[tokio::test]
async fn proxy_header_names_the_peer() {
    let server = server(10, 10);
    let mut spec = spec("127.0.0.1:0");
    spec.proxy_protocol = true;
    let address = listen(&server, wanted(spec, Greeter("hello")));
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4000 25\r\n")
        .await
        .unwrap();
    assert_eq!(line(&mut client).await, "hello 192.0.2.7:4000\n");
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"EHLO no-proxy.example\r\n")
        .await
        .unwrap();
    assert_eq!(line(&mut client).await, "");
}

#[tokio::test]
async fn proxy_header_from_an_untrusted_network_is_refused() {
    let server = server(10, 10);
    let mut options = (*server.shared.options.load_full()).clone();
    let mut spec = spec("127.0.0.1:0");
    spec.proxy_protocol = true;
    let address = listen(&server, wanted(spec, Greeter("hello")));
    for networks in [vec!["192.0.2.0/24".parse().unwrap()], Vec::new()] {
        options.proxy_networks = networks;
        server.set_options(options.clone());
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"PROXY TCP4 127.0.0.1 192.0.2.1 4000 25\r\n")
            .await
            .unwrap();
        assert_eq!(line(&mut client).await, "");
    }
}

#[tokio::test]
async fn panic_in_a_session_leaves_the_others_alone() {
    let server = server(10, 10);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Greeter("hello")));
    let mut other = TcpStream::connect(address).await.unwrap();
    line(&mut other).await;
    let mut broken = TcpStream::connect(address).await.unwrap();
    line(&mut broken).await;
    broken.write_all(b"!").await.unwrap();
    assert_eq!(line(&mut broken).await, "");
    assert_eq!(server.connections(), 1);
    assert_eq!(server.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(line(&mut other).await, "bye\n");
}

#[tokio::test]
async fn drain_refuses_new_connections_and_drops_those_that_stay() {
    let server = server(10, 10);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Stubborn));
    let mut client = TcpStream::connect(address).await.unwrap();
    while server.connections() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.drain(Duration::ZERO).await, 1);
    assert_eq!(line(&mut client).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn rebinding_keeps_connections_and_serves_new_ones_by_the_new_service() {
    let server = server(10, 10);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Greeter("old")));
    let mut early = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut early).await.starts_with("old "));
    // The same address as configured, so the same socket.
    assert_eq!(
        listen(&server, wanted(spec("127.0.0.1:0"), Greeter("new"))),
        address
    );
    let mut late = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut late).await.starts_with("new "));
    assert!(server.listen(Vec::new()).unwrap().is_empty());
    assert_eq!(server.connections(), 2);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    drop((early, late));
}

#[tokio::test]
async fn listener_that_cannot_be_opened_changes_nothing() {
    let server = server(10, 10);
    let address = listen(&server, wanted(spec("127.0.0.1:0"), Greeter("hello")));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let error = server
        .listen(vec![wanted(spec(&taken), Greeter("other"))])
        .unwrap_err();
    assert!(error.to_string().contains(&taken), "{error}");
    let mut client = TcpStream::connect(address).await.unwrap();
    assert!(line(&mut client).await.starts_with("hello "));
}
