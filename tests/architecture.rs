//! The house rules that can be checked: which crate may use which, and who touches files.
#![expect(
    clippy::expect_used,
    reason = "a check that cannot read the sources says so and ends"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

type Edges = BTreeMap<String, BTreeSet<String>>;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .expect("cargo metadata")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned()
}

/// What the crates' manifests say, tests' own needs left out.
fn edges_of_the_code(metadata: &Metadata) -> Edges {
    let names: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    metadata
        .packages
        .iter()
        .map(|package| {
            let uses = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .filter(|name| names.contains(name.as_str()))
                .collect();
            (package.name.to_string(), uses)
        })
        .collect()
}

/// What ARCHITECTURE.md's table says.
fn edges_of_the_table() -> Edges {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    text.lines()
        .filter_map(|line| line.strip_prefix("| `facteur"))
        .map(|row| {
            let row = format!("`facteur{row}");
            let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
            let name = names.next().expect("the crate's name");
            (name, names.collect())
        })
        .collect()
}

fn difference(a: &Edges, b: &Edges) -> Vec<String> {
    let none = BTreeSet::new();
    let mut missing: Vec<String> = a
        .iter()
        .flat_map(|(name, uses)| {
            let other = b.get(name).unwrap_or(&none);
            uses.difference(other)
                .map(move |used| format!("{name} -> {used}"))
        })
        .collect();
    missing.extend(a.keys().filter(|name| !b.contains_key(*name)).cloned());
    missing
}

#[test]
fn edges_of_the_code_are_those_of_the_table() {
    let code = edges_of_the_code(&metadata());
    let table = edges_of_the_table();
    let unlisted = difference(&code, &table);
    assert!(
        unlisted.is_empty(),
        "in the code but not in ARCHITECTURE.md: {unlisted:#?}"
    );
    let gone = difference(&table, &code);
    assert!(
        gone.is_empty(),
        "in ARCHITECTURE.md but not in the code: {gone:#?}"
    );
}

/// The rules behind the table, so that nobody lists an edge that must not be.
#[test]
fn edges_keep_to_the_layers() {
    const SHARED_WORDS: [&str; 3] = ["facteur-address", "facteur-utf7", "facteur-wire"];
    let metadata = metadata();
    let layer = |name: &str| {
        let package = metadata.packages.iter().find(|one| one.name == name);
        let manifest = &package.expect("a crate of ours").manifest_path;
        let below = manifest.strip_prefix(root()).expect("in the workspace");
        below.components().next().map(|first| first.to_string())
    };
    for (name, uses) in edges_of_the_code(&metadata) {
        for used in uses {
            let (from, to) = (layer(&name), layer(&used));
            let allowed = match (from.as_deref(), to.as_deref()) {
                (Some("protocols"), to) => to == Some("protocols"),
                (Some("auth" | "storage"), Some("protocols")) => {
                    SHARED_WORDS.contains(&used.as_str())
                }
                (Some("storage"), to) => to == Some("storage"),
                // What the directory says of an account is said in the store's nouns.
                (Some("auth"), Some("storage")) => used == "facteur-model",
                (Some("auth"), to) => to == Some("auth"),
                (Some("server"), Some("config")) => name == "facteur",
                (Some("server"), to) => to != Some("tests"),
                (Some("tests"), _) => true,
                _ => false,
            };
            assert!(allowed, "{name} must not use {used}");
        }
    }
}

#[test]
fn storage_and_protocols_are_without_tokio() {
    for package in metadata().packages {
        let below = package.manifest_path.strip_prefix(root()).expect("ours");
        if below.starts_with("storage") || below.starts_with("protocols") {
            for dependency in &package.dependencies {
                assert!(
                    !dependency.name.starts_with("tokio"),
                    "{} uses {}",
                    package.name,
                    dependency.name
                );
            }
        }
    }
}

#[test]
fn files_are_touched_by_disk_and_mapped_only() {
    /// `fs::read(…)`, `File::open(…)`: naming the type of an open file is no offence.
    fn touches_files(line: &str) -> bool {
        let calls = |sign: &str, next: fn(char) -> bool| {
            line.match_indices(sign).any(|(at, sign)| {
                !line[..at].ends_with(|c: char| c.is_alphanumeric())
                    && line[at + sign.len()..].starts_with(next)
            })
        };
        calls("fs::", |c| c.is_ascii_lowercase())
            || calls("File::", |c| c.is_ascii_lowercase())
            || line.contains("OpenOptions")
            || line.contains("tempfile(")
    }
    let mut offenders = Vec::new();
    for folder in ["storage", "protocols"] {
        for file in rust_files(&root().join(folder)) {
            let below = file.strip_prefix(root()).expect("ours");
            if below.starts_with("storage/disk")
                || below.starts_with("storage/mapped")
                || is_test(below)
            {
                continue;
            }
            for (number, line) in code_lines(&file) {
                if touches_files(&line) {
                    offenders.push(format!("{}:{number}: {}", below.display(), line.trim()));
                }
            }
        }
    }
    assert!(offenders.is_empty(), "{offenders:#?}");
}

#[test]
fn protocols_are_without_sockets_and_clocks() {
    const SIGNS: [&str; 5] = [
        "std::net::Tcp",
        "std::os::unix::net",
        "SystemTime::now",
        "Instant::now",
        "std::thread",
    ];
    let mut offenders = Vec::new();
    for file in rust_files(&root().join("protocols")) {
        let below = file.strip_prefix(root()).expect("ours");
        if is_test(below) {
            continue;
        }
        for (number, line) in code_lines(&file) {
            if SIGNS.iter().any(|sign| line.contains(sign)) {
                offenders.push(format!("{}:{number}: {}", below.display(), line.trim()));
            }
        }
    }
    assert!(offenders.is_empty(), "{offenders:#?}");
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Tests may do as they like.
fn is_test(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/tests/")
        || text.contains("/examples/")
        || text.ends_with("tests.rs")
        || text.contains("/benches/")
}

/// The lines of a file that are no comments, up to the tests in it.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("a source");
    text.lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(number, line)| (number + 1, line.to_owned()))
        .collect()
}
