//! Listeners and the limits that they share.

use std::sync::Arc;

use facteur_config::{
    Config,
    sections::{Listener, ListenerProtocol, ListenerTls, Process},
};
use facteur_runtime::{LimitOptions, ListenerSpec, Protocol, ServerOptions, TlsMode};

/// Every listener as configured.
pub(crate) fn specs(config: &Config) -> Vec<Arc<ListenerSpec>> {
    let specs = config.listeners.iter().filter_map(|listener| {
        let Listener {
            name: _,
            protocol,
            address,
            tls: _,
            proxy_protocol,
            auth,
            require_tls,
            require_auth,
            mynetworks,
            plaintext_auth_on_loopback,
            // Intake's.
            smtpd_client_restrictions: _,
            smtpd_helo_restrictions: _,
            smtpd_sender_restrictions: _,
            smtpd_relay_restrictions: _,
            smtpd_recipient_restrictions: _,
            smtpd_data_restrictions: _,
            mode,
        } = listener;
        let mut spec = ListenerSpec::new(
            &listener.name(),
            protocol.map(self::protocol)?,
            address,
            tls(listener.tls()),
        );
        spec.proxy_protocol = *proxy_protocol;
        spec.auth = *auth;
        spec.require_tls = *require_tls;
        spec.require_auth = *require_auth;
        spec.mynetworks.clone_from(mynetworks);
        spec.plaintext_auth_on_loopback =
            plaintext_auth_on_loopback.unwrap_or(config.auth.plaintext_auth_on_loopback);
        spec.mode = mode.0;
        Some(Arc::new(spec))
    });
    specs.collect()
}

fn protocol(protocol: ListenerProtocol) -> Protocol {
    match protocol {
        ListenerProtocol::Smtp => Protocol::Smtp,
        ListenerProtocol::Submission => Protocol::Submission,
        ListenerProtocol::Lmtp => Protocol::Lmtp,
        ListenerProtocol::Imap => Protocol::Imap,
        ListenerProtocol::Pop3 => Protocol::Pop3,
        ListenerProtocol::ManageSieve => Protocol::ManageSieve,
    }
}

fn tls(tls: ListenerTls) -> TlsMode {
    match tls {
        ListenerTls::None => TlsMode::None,
        ListenerTls::StartTls => TlsMode::StartTls,
        ListenerTls::Implicit => TlsMode::Implicit,
    }
}

/// What holds for every listener.
pub(crate) fn server_options(config: &Config) -> ServerOptions {
    let Process {
        // With the privileges.
        user: _,
        group: _,
        client_limit,
        smtpd_client_connection_count_limit,
        client_connection_count_limit,
        haproxy_trusted_networks,
        haproxy_timeout,
        // With the protocols.
        client_write_timeout: _,
        // With the process itself.
        network_threads: _,
        storage_threads: _,
        shutdown_timeout: _,
    } = &config.process;
    ServerOptions {
        limits: LimitOptions {
            total: *client_limit,
            smtp_per_address: *smtpd_client_connection_count_limit,
            per_address: *client_connection_count_limit,
            exempt: config.general.mynetworks.clone(),
        },
        proxy_timeout: haproxy_timeout.0,
        proxy_networks: haproxy_trusted_networks.clone(),
    }
}
