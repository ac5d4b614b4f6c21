//! The configuration of a quickstart: written once, and then the user's.

use std::{fmt::Write as _, fs};

use anyhow::Context as _;

use super::Folder;
use crate::files;

/// Name, protocol, standard port and TLS of each listener.
const LISTENERS: [(&str, &str, u16, &str); 9] = [
    ("smtp", "smtp", 25, "starttls"),
    ("submission", "submission", 587, "starttls"),
    ("submissions", "submission", 465, "implicit"),
    ("lmtp", "lmtp", 24, "none"),
    ("imap", "imap", 143, "starttls"),
    ("imaps", "imap", 993, "implicit"),
    ("pop3", "pop3", 110, "starttls"),
    ("pop3s", "pop3", 995, "implicit"),
    ("managesieve", "managesieve", 4190, "starttls"),
];

/// Writes the file, or lets the addresses in the one there is follow `port_base` and the folder's
/// place.
pub(super) fn write(folder: &Folder, port_base: u16) -> anyhow::Result<()> {
    let path = folder.config();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh(folder, port_base),
        read => {
            let text = read.with_context(|| format!("cannot read {}", path.display()))?;
            follow(folder, port_base, text)?
        }
    };
    files::write_secret(&path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

fn address(port_base: u16, port: u16) -> String {
    format!("127.0.0.1:{}", port_base.saturating_add(port))
}

/// Where each listener listens. One port that some other program has is replaced by any free one;
/// if more are taken, another quickstart runs, and the start says so.
fn addresses(port_base: u16) -> [String; LISTENERS.len()] {
    let mut addresses = LISTENERS.map(|(_, _, port, _)| address(port_base, port));
    let is_taken = |address: &&mut String| {
        let bound = std::net::TcpListener::bind(address.as_str());
        bound.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
    };
    let mut taken: Vec<&mut String> = addresses.iter_mut().filter(is_taken).collect();
    if let [one] = taken.as_mut_slice() {
        eprintln!("facteur: another program has {one}; a free port stands in for it");
        **one = address(0, 0);
    }
    addresses
}

fn fresh(folder: &Folder, port_base: u16) -> String {
    let data = toml_string(&folder.0.to_string_lossy());
    let mut text = format!(
        "# Made by `facteur quickstart`. Change what you like: the next start keeps it, and lets only\n\
         # data_directory and the addresses of these listeners follow --data and --port-base.\n\
         # `facteur --config FILE config show` explains every key.\n\
         myhostname = \"mail.example.test\"\n\
         postmaster_address = \"alice@example.test\"\n\
         data_directory = {data}\n"
    );
    for ((name, protocol, _, tls), address) in LISTENERS.into_iter().zip(addresses(port_base)) {
        let _ = write!(
            text,
            "\n[[listener]]\nname = \"{name}\"\nprotocol = \"{protocol}\"\naddress = \"{address}\"\ntls = \"{tls}\"\n"
        );
    }
    text
}

fn follow(folder: &Folder, port_base: u16, text: String) -> anyhow::Result<String> {
    let file = folder.config();
    let data = toml_string(&folder.0.to_string_lossy());
    let mut text = facteur_config::set(&file, &text, &[("data_directory", &data)])?;
    for ((name, ..), address) in LISTENERS.into_iter().zip(addresses(port_base)) {
        let key = format!("listener.{name}.address");
        let value = toml_string(&address);
        match facteur_config::set(&file, &text, &[(&key, &value)]) {
            Ok(changed) => text = changed,
            // The user has taken it out.
            Err(facteur_config::EditError::List(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(text)
}

fn toml_string(text: &str) -> String {
    // JSON's escapes are TOML's.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use facteur_config::Config;

    use super::*;

    #[test]
    fn configuration_is_sound_and_follows_the_port_base() {
        let data = tempfile::tempdir().unwrap();
        let folder = Folder(data.path().to_owned());
        write(&folder, 2000).unwrap();
        let read = || {
            let text = fs::read_to_string(folder.config()).unwrap();
            Config::parse(&folder.config(), &text).unwrap().config
        };
        assert_eq!(read().listeners.len(), 9);
        assert_eq!(read().listeners[8].address, "127.0.0.1:6190");
        let text = fs::read_to_string(folder.config()).unwrap();
        let own = text.replace(
            "\n[[listener]]\nname = \"pop3\"",
            "\n# mine\n[[listener]]\nname = \"mine\"",
        );
        fs::write(folder.config(), own).unwrap();
        write(&folder, 3000).unwrap();
        assert_eq!(read().listeners[0].address, "127.0.0.1:3025");
        assert_eq!(read().listeners[6].address, "127.0.0.1:2110");
        assert!(
            fs::read_to_string(folder.config())
                .unwrap()
                .contains("# mine")
        );
    }
}
