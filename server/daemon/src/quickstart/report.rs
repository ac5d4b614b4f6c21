//! What a quickstart tells: to people on standard output, to scripts in quickstart.json.

use std::{collections::BTreeMap, io::Write as _};

use facteur_runtime::OpenListener;
use serde_json::json;

use super::{Account, Folder};
use crate::files;

/// Writes quickstart.json, then tells the person.
pub(super) fn publish(
    folder: &Folder,
    listeners: &[OpenListener],
    accounts: &[Account],
) -> anyhow::Result<()> {
    let addresses: BTreeMap<&str, String> = listeners
        .iter()
        .filter_map(|open| Some((open.spec.name.as_str(), open.local?.to_string())))
        .collect();
    let certificate = folder.0.join("certificate.pem");
    let report = json!({
        "listeners": addresses,
        "accounts": accounts,
        "certificate": certificate,
        "config": folder.config(),
    });
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    files::write_secret(&folder.report(), text.as_bytes())?;
    // Nobody may be reading.
    let _ = writeln!(std::io::stdout(), "{}", lines(folder, &addresses, accounts));
    Ok(())
}

fn lines(folder: &Folder, addresses: &BTreeMap<&str, String>, accounts: &[Account]) -> String {
    let at = |name: &str| addresses.get(name).map_or("", String::as_str);
    let mut text = format!(
        "\nFacteur runs, with its data in {}\n\n",
        folder.0.display()
    );
    for (name, address) in addresses {
        text.push_str(&format!("  {name:<12} {address}\n"));
    }
    text.push('\n');
    for Account { address, password } in accounts {
        text.push_str(&format!("  {address}   password {password}\n"));
    }
    if let [alice, bob] = accounts {
        let certificate = folder.0.join("certificate.pem").display().to_string();
        let (smtp, submissions, imaps) = (at("smtp"), at("submissions"), at("imaps"));
        text.push_str(&format!(
            "\nSend a message (as another server would, or logged in):\n\n  \
             printf 'From: {alice}\\r\\nTo: {bob}\\r\\nSubject: Hello\\r\\n\\r\\nHello, Bob.\\r\\n' | curl --url smtp://{smtp} --mail-from {alice} --mail-rcpt {bob} --upload-file -\n  \
             printf 'From: {alice}\\r\\nTo: {bob}\\r\\nSubject: Hello again\\r\\n\\r\\nHello, Bob.\\r\\n' | curl --url smtps://{submissions} --cacert {cert} --user {alice}:{alice_password} --mail-from {alice} --mail-rcpt {bob} --upload-file -\n\n\
             Read it back:\n\n  \
             curl --cacert {cert} --user {bob}:{bob_password} 'imaps://{imaps}/INBOX;MAILINDEX=1'\n\n\
             Stop with Ctrl-C; the next start goes on with the same data.\n",
            alice = alice.address,
            bob = bob.address,
            alice_password = alice.password,
            bob_password = bob.password,
            cert = shell_quoted(&certificate),
        ));
    }
    text
}

fn shell_quoted(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte));
    if plain {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
