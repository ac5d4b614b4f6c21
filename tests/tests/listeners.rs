//! What listeners can be besides a TCP port: a Unix socket, and several names behind one address.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{fs::chown, net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use facteur_tests::{Setup, require_peer};

const BOB: &str = "bob@example.test";

#[test]
fn lmtp_on_a_unix_socket_answers_for_each_recipient() {
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let socket = facteur.folder().join("lmtp");
    let text = fs::read_to_string(facteur.config()).unwrap();
    let listener = format!(
        "\n[[listener]]\nname = \"lmtp-unix\"\nprotocol = \"lmtp\"\naddress = \"unix:{}\"\n",
        socket.display()
    );
    fs::write(facteur.config(), text + &listener).unwrap();
    assert!(facteur.reload(), "{}", facteur.log());

    let mut stream = UnixStream::connect(&socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let commands = "LHLO client.example\r\nMAIL FROM:<a@else.example>\r\nRCPT TO:<bob@example.test>\r\n\
                    RCPT TO:<nobody@example.test>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n";
    stream.write_all(commands.as_bytes()).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut codes = Vec::new();
    while codes.last() != Some(&354) {
        let line = replies.next().unwrap().unwrap();
        if line.as_bytes().get(3) != Some(&b'-') {
            codes.push(line[..3].parse::<u16>().unwrap());
        }
    }
    assert_eq!(codes, [220, 250, 250, 250, 550, 250, 354]);
    stream
        .write_all(b"Subject: by socket\r\n\r\nHello.\r\n.\r\nQUIT\r\n")
        .unwrap();
    let ends: Vec<String> = replies.map(|line| line.unwrap()[..3].to_owned()).collect();
    assert_eq!(ends, ["250", "250", "221"]);
    for (address, password) in [
        (BOB, "bob-password"),
        ("alice@example.test", "alice-password"),
    ] {
        let mut imap = facteur.imap(address, password);
        let selected = imap.must("SELECT INBOX");
        assert!(format!("{selected:?}").contains("1 EXISTS"), "{selected:?}");
    }
}

/// Makes a certificate for `name` that the server can read.
fn certificate(folder: &Path, name: &str) {
    let file = |end: &str| folder.join(format!("{name}.{end}"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
        ])
        .args(["-nodes", "-days", "30", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName=DNS:{name}")])
        .arg("-keyout")
        .arg(file("key"))
        .arg("-out")
        .arg(file("pem"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let owner = fs::metadata(folder).unwrap();
    for end in ["key", "pem"] {
        use std::os::unix::fs::MetadataExt as _;
        chown(file(end), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}

/// The subject of the certificate that is shown to a client that asks for `name`.
fn subject(address: &str, name: &str) -> String {
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", address, "-servername", name])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let subject = text.lines().find(|line| line.starts_with("subject="));
    subject.unwrap_or(&text).to_owned()
}

#[test]
fn certificate_is_chosen_by_the_name_the_client_asks_for() {
    if require_peer("openssl").is_none() {
        return;
    }
    let mut facteur = Setup::new().with_alice_and_bob().start();
    let folder = facteur.folder().to_owned();
    let text = fs::read_to_string(facteur.config()).unwrap();
    let mut more = String::new();
    for name in ["mail.one.example", "mail.two.example"] {
        certificate(&folder, name);
        let path = folder.join(name);
        more += &format!(
            "\n[[certificate]]\nssl_cert = \"{path}.pem\"\nssl_key = \"{path}.key\"\n",
            path = path.display()
        );
    }
    fs::write(facteur.config(), text + &more).unwrap();
    assert!(facteur.reload(), "{}", facteur.log());
    let address = facteur.address("imaps").to_string();
    assert!(subject(&address, "mail.one.example").contains("mail.one.example"));
    assert!(subject(&address, "mail.two.example").contains("mail.two.example"));
    // Where no name fits, the first stands in.
    let other = subject(&address, "mail.other.example");
    assert!(other.contains("mail.one.example"), "{other}");
}
