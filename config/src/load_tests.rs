use super::*;

fn parse(text: &str) -> Result<Loaded, Problems> {
    Config::parse(Path::new("facteur.toml"), text)
}

/// The messages of what is wrong with `text`.
fn wrong(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn file_with_a_host_name_only_is_sound() {
    let loaded = parse("myhostname = \"mx.example.org\"\n").unwrap();
    assert_eq!(loaded.config.general.myhostname, "mx.example.org");
    assert_eq!(loaded.config.listeners.len(), 10);
    assert_eq!(loaded.origin["myhostname"], 1);
}

#[test]
fn unknown_key_names_file_line_key_and_the_nearest() {
    assert_eq!(
        wrong("\n[queue]\nrelay_host = \"x\"\n"),
        "facteur.toml:3: queue.relay_host: no such key; did you mean relayhost?"
    );
}

#[test]
fn key_of_another_section_is_shown_its_place() {
    assert_eq!(
        wrong("relayhost = \"x\"\n"),
        "facteur.toml:1: relayhost: no such key; did you mean relayhost in [queue]?"
    );
    assert_eq!(
        wrong("[smtp]\nmynetworks = []\n"),
        "facteur.toml:2: smtp.mynetworks: no such key; did you mean mynetworks, above the first section?"
    );
}

#[test]
fn unknown_section_names_the_nearest() {
    assert_eq!(
        wrong("[seive]\n"),
        "facteur.toml:1: seive: no such section; did you mean [sieve]?"
    );
    assert!(wrong("[listner]\n").contains("did you mean [[listener]]?"));
    assert!(wrong("[listener]\n").contains("write [[listener]]"));
    assert!(wrong("smtp = 5\n").contains("write [smtp]"));
}

#[test]
fn wrong_types_are_all_told_in_the_order_of_the_file() {
    let problems =
        parse("[smtp]\nsmtpd_timeout = true\nsmtpd_recipient_limit = \"x\"\n").unwrap_err();
    let lines: Vec<_> = problems.problems.iter().map(|one| one.line).collect();
    assert_eq!(lines, [Some(2), Some(3)]);
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let message = wrong("[smtp]\nsmtpd_timeout = \n");
    assert!(
        message.starts_with("facteur.toml:2: not TOML: "),
        "{message}"
    );
}

#[test]
fn bracket_that_is_not_closed_is_one_mistake() {
    let text = "mynetworks = [\n\n[process]\nuser = \"facteur\"\n[smtp]\nhopcount_limit = 5\n";
    let problems = parse(text).unwrap_err().problems;
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert!(problem.message.contains("unclosed array"), "{problem:?}");
}

#[test]
fn listener_entry_is_read_and_the_defaults_go() {
    let loaded = parse(
        "[[listener]]\nprotocol = \"submission\"\naddress = \"*:465\"\ntls = \"implicit\"\n\
         proxy_protocol = true\nmynetworks = [\"192.168.1.0/24\"]\n\
         [process]\nhaproxy_trusted_networks = [\"192.168.1.9/32\"]\n",
    )
    .unwrap();
    let [listener] = loaded.config.listeners.as_slice() else {
        panic!("one listener");
    };
    assert_eq!(listener.name(), "submissions");
    assert!(listener.proxy_protocol);
    assert_eq!(listener.mynetworks.as_ref().unwrap().len(), 1);
}

#[test]
fn contradictions_are_refused_with_their_line() {
    for (text, expected) in [
        (
            "[[listener]]\nprotocol = \"lmtp\"\naddress = \"unix:/x\"\nproxy_protocol = true\n",
            "facteur.toml:4: listener[1].proxy_protocol: a Unix socket has no PROXY protocol",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"*:25\"\nproxy_protocol = true\n",
            "facteur.toml:4: listener[1].proxy_protocol: nobody may use it: name the proxy in",
        ),
        (
            "[[listener]]\naddress = \"*:25\"\n",
            "facteur.toml:1: listener[1].protocol: is missing: one of \"smtp\"",
        ),
        (
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"mail:25\"\n",
            "facteur.toml:3: listener[1].address: \"mail:25\" is not an address to listen on",
        ),
        (
            "[[listener]]\nprotocol = \"imap\"\naddress = \"*:1\"\n[[listener]]\nname = \"x\"\nprotocol = \"pop3\"\naddress = \"*:1\"\n",
            "facteur.toml:7: listener[2].address: listener 1 listens on *:1 already",
        ),
        (
            "[tls]\nssl_cert = \"/x.pem\"\n",
            "facteur.toml:2: tls.ssl_cert: needs tls.ssl_key too",
        ),
        (
            "[mailbox.A]\nspecial_use = '\\Junk'\n[mailbox.B]\nspecial_use = '\\Junk'\n",
            "facteur.toml:4: mailbox.B.special_use: mailbox A is \\Junk already",
        ),
        (
            "[[namespace]]\nseparator = \"x\"\n",
            "facteur.toml:2: namespace[1].separator: must be",
        ),
        (
            "myhostname = \"not a host\"\n",
            "facteur.toml:1: myhostname: \"not a host\" is not a host name",
        ),
        (
            "[queue]\nminimal_backoff_time = \"1d\"\n",
            "facteur.toml:2: queue.minimal_backoff_time: is longer than",
        ),
    ] {
        let message = wrong(text);
        assert!(message.starts_with(expected), "{message}\n{text}");
    }
}

#[test]
fn hidden_namespace_of_old_clients_is_sound() {
    let loaded = parse(
        "[[namespace]]\nseparator = \"/\"\n[[namespace]]\nseparator = \"/\"\nprefix = \"INBOX/\"\n\
         inbox = false\nhidden = true\n",
    )
    .unwrap();
    assert_eq!(loaded.config.namespaces.len(), 2);
}

#[test]
fn mailboxes_keep_the_order_of_the_file() {
    let loaded =
        parse("[mailbox.Spam]\nspecial_use = '\\Junk'\n[mailbox.Archive]\nauto = \"no\"\n")
            .unwrap();
    let names: Vec<_> = loaded
        .config
        .mailboxes
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["Spam", "Archive"]);
}
