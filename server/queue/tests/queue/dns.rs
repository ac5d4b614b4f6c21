//! A DNS server with zones of our own.

use std::{net::SocketAddr, str::FromStr, sync::Arc};

use facteur_queue::Nameserver;
use hickory_server::{
    Server,
    net::runtime::TokioRuntimeProvider,
    proto::rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CNAME, MX, SOA},
    },
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, ZoneType},
};
use tokio::net::UdpSocket;

/// The server; it ends when this is dropped.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    _server: Server<Catalog>,
}

fn name(text: &str) -> Name {
    Name::from_str(&format!("{}.", text.trim_end_matches('.'))).unwrap()
}

impl Dns {
    /// Serves the zone `test` with these lines: `a.test MX 10 mx.a.test`, `mx.a.test A 127.0.0.1`.
    /// What is below `broken.` is refused.
    pub(crate) async fn start(records: &[&str]) -> Self {
        let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
            name("test"),
            ZoneType::Primary,
            AxfrPolicy::Deny,
        );
        let soa = SOA::new(name("ns.test"), name("root.test"), 1, 60, 60, 60, 60);
        zone.upsert_mut(Record::from_rdata(name("test"), 60, RData::SOA(soa)), 1);
        for line in records {
            let words: Vec<&str> = line.split_whitespace().collect();
            let data = match words[1..] {
                ["A", address] => RData::A(A(address.parse().unwrap())),
                ["AAAA", address] => RData::AAAA(AAAA(address.parse().unwrap())),
                ["CNAME", target] => RData::CNAME(CNAME(name(target))),
                ["MX", preference, "."] => {
                    RData::MX(MX::new(preference.parse().unwrap(), Name::root()))
                }
                ["MX", preference, host] => {
                    RData::MX(MX::new(preference.parse().unwrap(), name(host)))
                }
                _ => panic!("{line}"),
            };
            assert!(
                zone.upsert_mut(Record::from_rdata(name(words[0]), 60, data), 1),
                "{line}"
            );
        }
        let mut catalog = Catalog::new();
        catalog.upsert(name("test").into(), vec![Arc::new(zone)]);
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut server = Server::new(catalog);
        server.register_socket(socket);
        Self {
            address,
            _server: server,
        }
    }

    pub(crate) fn nameservers(&self) -> Vec<Nameserver> {
        vec![Nameserver(self.address)]
    }
}
