//! What README.md, OPERATOR.md and the program's own help tell people to type works.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on says so and ends"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use facteur_tests::{Facteur, Quickstart, Setup, require_peer};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(page: &str) -> String {
    fs::read_to_string(repository().join(page)).unwrap()
}

/// The fenced blocks of a page in a language, without the indentation that they share.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = read(page);
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != format!("```{language}") {
            continue;
        }
        let indentation = line.len() - line.trim_start().len();
        let block = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: Vec<&str> = block
            .map(|line| line.get(indentation..).unwrap_or_default())
            .collect();
        found.push(block.join("\n"));
    }
    found
}

/// Text between backticks within lines; not that in the column of a table that says what things are
/// called "there", in other programs.
fn code_words(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    let text = read(page);
    let mut prose = String::new();
    let mut of_others = false;
    for line in text.lines() {
        let cells = line.trim_start().strip_prefix('|');
        of_others = cells.is_some_and(|cells| of_others || cells.starts_with(" there "));
        let line = match cells {
            Some(cells) if of_others => cells.split_once('|').map_or("", |(_, rest)| rest),
            _ => line,
        };
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    for (n, part) in prose.split('`').enumerate() {
        if n % 2 == 1 {
            found.push(part.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

fn sh(folder: &Path, script: &str) -> Output {
    Command::new("sh")
        .args(["-e", "-c", script])
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    let of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    of(&output.stdout) + &of(&output.stderr)
}

/// README's lines, with the ports of this quickstart.
fn expect_readme(quickstart: &Quickstart) {
    let blocks = blocks("README.md", "sh");
    let [start, talk, more, test, ..] = blocks.as_slice() else {
        panic!("README's blocks: {blocks:?}");
    };
    assert_eq!(start, "cargo run --release -- quickstart");
    assert_eq!(test, "tests/run");
    assert!(repository().join("tests/run").is_file());
    let port = |standard: u16| (quickstart.port_base() + standard).to_string();
    let readme = read("README.md");
    for standard in [25, 587, 465, 24, 143, 993, 110, 995, 4190] {
        let shown = (2000 + standard).to_string();
        assert!(readme.contains(&shown), "README does not say {shown}");
    }
    let script = talk.replace("2025", &port(25)).replace("2993", &port(993));
    assert_ne!(&script, talk);
    let ran = sh(quickstart.folder(), &script);
    assert!(ran.status.success(), "{script}\n{}", text(&ran));
    assert!(text(&ran).contains("Hello, Bob."), "{}", text(&ran));
    // Where the lines of the page would build it.
    let built = facteur_tests::binary();
    let script = more
        .replace(
            "$PWD/target/release",
            &built.parent().unwrap().display().to_string(),
        )
        .replace(
            "facteur account add",
            "echo a-password | facteur account add",
        );
    assert_ne!(&script, more);
    let ran = sh(quickstart.folder(), &script);
    assert!(ran.status.success(), "{script}\n{}", text(&ran));
    assert!(
        text(&ran).contains("carol@example.test quota 1G"),
        "{}",
        text(&ran)
    );
}

/// The lines that the quickstart prints, as they are.
fn expect_printed(quickstart: &Quickstart) {
    let lines: Vec<&str> = quickstart
        .printed()
        .iter()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with("printf ") || line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), 3, "{:?}", quickstart.printed());
    for line in &lines {
        let ran = sh(quickstart.folder(), line);
        assert!(ran.status.success(), "{line}\n{}", text(&ran));
        if line.starts_with("curl ") {
            assert!(text(&ran).contains("Hello, Bob."), "{}", text(&ran));
        }
    }
}

#[test]
fn new_users_lines_send_and_read_a_message() {
    for peer in ["curl", "jq"] {
        if require_peer(peer).is_none() {
            return;
        }
    }
    let quickstart = Quickstart::start();
    expect_readme(&quickstart);
    expect_printed(&quickstart);
}

/// `facteur …` in a line of a script: its words without what the shell keeps for itself. After
/// `docker-compose exec facteur` and the like it is a container's name.
fn facteur_command(line: &str) -> Option<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default().trim();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let line = line.split_once(" -- ").map_or(line, |(cargo, rest)| {
        if cargo.starts_with("cargo run") {
            return rest;
        }
        line
    });
    let rest = line.strip_prefix("facteur ")?;
    let words = rest.split(" <").next().unwrap_or_default();
    let words = words.split_whitespace().filter(|word| *word != "…");
    Some(
        words
            .map(|word| word.trim_matches(['\'', '"']).to_owned())
            .collect(),
    )
}

/// The lines of every script on a page, those that are continued as one.
fn script_lines(page: &str) -> Vec<String> {
    blocks(page, "sh")
        .iter()
        .map(|block| block.replace("\\\n", " "))
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// Every command of ours on a page, in blocks and between backticks.
fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = script_lines(page);
    let words = code_words(page);
    lines
        .iter()
        .chain(&words)
        .filter_map(|line| facteur_command(line))
        .collect()
}

fn run(server: &Facteur, words: &[String], input: &str) -> Output {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    server.cli(&words, input)
}

/// Whether its verbs, options and arguments are ones that there are.
fn expect_parsed(server: &Facteur, page: &str, command: &[String]) {
    let mut words: Vec<String> = command
        .iter()
        .map(|word| match word.as_str() {
            "ADDRESS" => "bob@example.org".to_owned(),
            "KEY" => "relayhost".to_owned(),
            word => word.to_owned(),
        })
        .collect();
    words.push("--help".to_owned());
    let ran = run(server, &words, "");
    let said = text(&ran);
    assert!(
        ran.status.success() && said.contains("Usage: facteur"),
        "{page}: facteur {command:?}: {said}"
    );
}

#[test]
fn commands_of_the_pages_are_commands() {
    let server = Setup::new().start();
    let mut count = 0;
    for page in ["README.md", "deploy/OPERATOR.md", "CHANGELOG.md"] {
        for command in commands(page) {
            expect_parsed(&server, page, &command);
            count += 1;
        }
    }
    // The help's own examples.
    for verb in [
        "config explain",
        "config set",
        "domain",
        "account",
        "alias",
        "queue",
    ] {
        let mut words: Vec<String> = verb.split(' ').map(str::to_owned).collect();
        words.push("--help".to_owned());
        let help = text(&run(&server, &words, ""));
        let examples = help.split_once("Examples:\n").expect("examples").1;
        for line in examples.lines() {
            let command = facteur_command(line).expect("a command");
            expect_parsed(&server, verb, &command);
            count += 1;
        }
    }
    assert!(count > 40, "only {count} commands");
}

#[test]
fn operator_makes_the_first_domain_and_changes_the_configuration() {
    let mut server = Setup::new().start();
    let mut done = Vec::new();
    let mut exports = Vec::new();
    for command in script_lines("deploy/OPERATOR.md")
        .iter()
        .filter_map(|line| facteur_command(line))
    {
        let [verb, ..] = command.as_slice() else {
            panic!("an empty command");
        };
        if command.iter().any(|word| word == "export") {
            exports.push(command);
            continue;
        }
        let ran = run(&server, &command, "a-password");
        assert!(ran.status.success(), "{command:?}: {}", text(&ran));
        done.push(verb.clone());
    }
    for verb in ["domain", "account", "alias", "config"] {
        assert!(done.iter().any(|one| one == verb), "no {verb}: {done:?}");
    }
    let mut smtp = server.smtp("smtp");
    smtp.expect("EHLO client.example", 250);
    let sent = smtp.send("", &["postmaster@example.org"], "Subject: x\r\n\r\nx\r\n");
    assert_eq!(sent.code, 250, "{sent:?}");
    let mut imap = server.imap("bob@example.org", "a-password");
    let status = imap.must("STATUS INBOX (MESSAGES)");
    assert!(status.with("MESSAGES 1").next().is_some(), "{status:?}");
    // The way back, and that into the other format, are taken with the server stopped.
    server.stop();
    assert_eq!(exports.len(), 2);
    for (at, mut command) in exports.into_iter().enumerate() {
        let copy = server.folder().join(format!("exported{at}"));
        let copy = copy.display().to_string();
        *command.last_mut().unwrap() = copy;
        let ran = run(&server, &command, "");
        let said = text(&ran);
        assert!(ran.status.success(), "{command:?}: {said}");
        assert!(said.contains(": 1 messages in "), "{said}");
    }
}

/// Words with the looks of a key that are something else: files, Dovecot's and Postfix's own, Linux's.
const NOT_KEYS: &[&str] = &[
    "mail_compress",
    "network_mode",
    "special_use",
    "queue_id",
    "fs.inotify.max_user_watches",
];

fn looks_like_a_key(word: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    let file = [".db", ".toml", ".json", ".sieve", ".md", ".yml", ".sql"];
    !file.iter().any(|end| word.ends_with(end))
        && word.contains(['_', '.'])
        && word.split('.').all(is_name)
        && !NOT_KEYS.contains(&word)
}

#[test]
fn keys_on_the_pages_are_keys() {
    let server = Setup::new().start();
    let mut count = 0;
    for page in ["README.md", "deploy/OPERATOR.md", "CHANGELOG.md"] {
        for word in code_words(page) {
            let key = word.split(" = ").next().unwrap_or_default();
            let section = key.split('.').next().unwrap_or_default();
            let is_section = || {
                server
                    .cli(&["config", "explain", section], "")
                    .status
                    .success()
            };
            if !looks_like_a_key(key) || !(key.contains('_') || is_section()) {
                continue;
            }
            let ran = server.cli(&["config", "explain", key], "");
            assert!(ran.status.success(), "{page}: {key}: {}", text(&ran));
            count += 1;
        }
    }
    assert!(count > 15, "only {count} keys");
}

#[test]
fn configurations_on_the_pages_are_sound() {
    let server = Setup::new().start();
    let blocks = blocks("deploy/OPERATOR.md", "toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let file = server.folder().join("page.toml");
        let text_of_file = if block.contains("myhostname") {
            block.clone()
        } else {
            format!("myhostname = \"mail.example.org\"\n{block}")
        };
        fs::write(&file, text_of_file).unwrap();
        let check = server.cli_of(&file, &["config", "check"], "");
        assert!(check.status.success(), "{block}\n{}", text(&check));
    }
}

#[test]
fn links_of_the_pages_lead_somewhere() {
    for page in [
        "README.md",
        "deploy/OPERATOR.md",
        "CONTRIBUTING.md",
        "ARCHITECTURE.md",
    ] {
        let folder = repository().join(page);
        let folder = folder.parent().unwrap();
        let text = read(page);
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            if target.starts_with("http") || target.starts_with('#') {
                continue;
            }
            assert!(folder.join(target).exists(), "{page}: {target}");
        }
    }
}

#[test]
fn compose_file_asks_for_nothing_that_the_example_does_not_name() {
    let compose = read("deploy/docker-compose.yml");
    let example = read("deploy/.env.example");
    let names: Vec<&str> = compose
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split([':', '}']).next())
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(
            name == "PROFILE" || example.contains(&format!("{name}=")),
            "{name} is not in .env.example"
        );
    }
}

#[test]
fn healthcheck_knows_a_server_that_greets_from_one_that_does_not() {
    let mut server = Setup::new().start();
    let check = |server: &Facteur| {
        Command::new("bash")
            .arg(repository().join("deploy/healthcheck"))
            .env("SMTP_PORT", server.address("smtp").port().to_string())
            .env("IMAP_PORT", server.address("imap").port().to_string())
            .output()
            .unwrap()
    };
    let healthy = check(&server);
    assert!(healthy.status.success(), "{}", text(&healthy));
    assert!(server.stop().success());
    assert!(!check(&server).status.success());
}
