//! The configuration that deploy/ ships.

use std::{path::Path, process::Command};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/facteur.toml");

/// What `facteur config check` says of a file; nothing when it is sound.
fn complaint(file: &Path) -> Option<String> {
    let check = Command::new(env!("CARGO_BIN_EXE_facteur"))
        .arg("--config")
        .arg(file)
        .args(["config", "check"])
        .output();
    match check {
        Ok(check) if check.status.success() => None,
        Ok(check) => Some(String::from_utf8_lossy(&check.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn shipped_configuration_is_sound() {
    assert_eq!(complaint(Path::new(SHIPPED)), None);
}

#[test]
fn shipped_examples_are_sound_once_they_are_uncommented() {
    let text = std::fs::read_to_string(SHIPPED).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let is_example = |line: &str| line.starts_with('#') && line.contains(" = ");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("facteur.toml");
    let mut examples = 0;
    for (at, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| is_example(line))
    {
        // A certificate goes with its key.
        let pair = |other: &str| line.starts_with("#ssl_") && other.starts_with("#ssl_");
        let uncommented = lines
            .iter()
            .enumerate()
            .map(|(n, other)| match n == at || pair(other) {
                true => other.trim_start_matches('#'),
                false => other,
            });
        std::fs::write(&file, uncommented.collect::<Vec<_>>().join("\n")).unwrap();
        let complaint = complaint(&file);
        if line.starts_with("#ssl_") {
            // Here are no such files, which is all that is wrong.
            let missing = "tls.ssl_cert: cannot read /etc/facteur/tls/fullchain.pem";
            let said = complaint.unwrap_or_default();
            assert!(
                said.contains(missing) && said.lines().count() == 1,
                "{said}"
            );
        } else {
            assert_eq!(complaint, None, "{line}");
        }
        examples += 1;
    }
    assert!(examples > 5, "only {examples} examples");
}
