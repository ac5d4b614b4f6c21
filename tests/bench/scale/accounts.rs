//! Ten thousand accounts: one delivery to each.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use facteur_tests::{Facteur, Random, Smtp};

use crate::{
    Arguments,
    clients::{PASSWORD, fill, message},
    idle,
    measure::{cpu, disk_use, drop_page_cache, flushes, print_memory, step},
};

const CONNECTIONS: usize = 20;

pub(crate) fn address(n: usize) -> String {
    format!("user{n:05}@example.test")
}

pub(crate) fn run(arguments: &Arguments) {
    let folder = arguments.folder();
    let (accounts, each) = (arguments.accounts, arguments.each);
    println!("== {accounts} accounts with {each} messages each");
    let setup = arguments.setup(folder.path());
    let mut facteur = setup.account(&address(0), PASSWORD).start();
    let mut imap = facteur.imap(&address(0), PASSWORD);
    step("first account filled", || fill(&mut imap, each));
    drop(imap);
    facteur.stop();
    let home = find(folder.path(), "user00000").expect("the first account's folder");
    step("other accounts' folders made", || copies(&home, accounts));
    step("accounts written into the directory", || {
        add_accounts(&folder.path().join("directory.db"), accounts);
    });
    println!(
        "{:<52} {:>10} MiB",
        "disk, links counted once",
        disk_use(folder.path())
    );
    drop_page_cache();
    facteur.restart();
    let mut order: Vec<usize> = (0..accounts).collect();
    let mut random = Random::new(1);
    for n in (1..order.len()).rev() {
        order.swap(n, random.below(n + 1));
    }
    print_memory(&facteur, "idle");
    deliveries(&facteur, &order, "one delivery to each, cold, random order");
    print_memory(&facteur, "after it");
    deliveries(&facteur, &order, "the same again");
    print_memory(&facteur, "after it");
    idle::run(&mut facteur, &order, each + 2);
    facteur.kill();
    step("removed", || {
        remove(home.parent().expect("the domain's folder"));
        drop(folder);
    });
}

/// Removes all folders of a folder, several at a time: there are many names.
fn remove(path: &Path) {
    let folders: Vec<_> = fs::read_dir(path).expect("a folder").flatten().collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(entry) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    fs::remove_dir_all(entry.path()).expect("it goes");
                }
            });
        }
    });
}

/// Where a folder of this name is below `path`.
fn find(path: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(path).ok()?.flatten() {
        if entry.file_name() == name {
            return Some(entry.path());
        }
        if entry.path().is_dir()
            && let Some(found) = find(&entry.path(), name)
        {
            return Some(found);
        }
    }
    None
}

/// What an account's folder is made of.
struct Part {
    path: PathBuf,
    kind: Kind,
}

enum Kind {
    Folder,
    /// Linked.
    Message,
    File(Vec<u8>),
}

fn parts(home: &Path, below: &Path, parts: &mut Vec<Part>) {
    for entry in fs::read_dir(home.join(below)).expect("a folder").flatten() {
        let path = below.join(entry.file_name());
        let folder = below.file_name().unwrap_or_default();
        if entry.path().is_dir() {
            parts.push(Part {
                path: path.clone(),
                kind: Kind::Folder,
            });
            self::parts(home, &path, parts);
        } else if folder == "dbox-Mails" || folder == "cur" || folder == "new" {
            parts.push(Part {
                path,
                kind: Kind::Message,
            });
        } else {
            let bytes = fs::read(entry.path()).expect("a file");
            parts.push(Part {
                path,
                kind: Kind::File(bytes),
            });
        }
    }
}

/// Makes the other accounts' folders out of the first one's.
fn copies(home: &Path, accounts: usize) {
    let mut all = Vec::new();
    parts(home, Path::new(""), &mut all);
    let owner = fs::metadata(home).expect("its owner");
    let (uid, gid) = (Some(owner.uid()), Some(owner.gid()));
    let mut messages = 0;
    let next = AtomicUsize::new(1);
    for part in &all {
        messages += usize::from(matches!(part.kind, Kind::Message));
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= accounts {
                        break;
                    }
                    let copy = home.with_file_name(format!("user{n:05}"));
                    let give = |path: &Path, mode| {
                        fs::set_permissions(path, fs::Permissions::from_mode(mode))
                            .expect("a mode");
                        chown(path, uid, gid).expect("an owner");
                    };
                    fs::create_dir(&copy).expect("a folder");
                    give(&copy, 0o700);
                    for part in &all {
                        let path = copy.join(&part.path);
                        match &part.kind {
                            Kind::Folder => {
                                fs::create_dir(&path).expect("a folder");
                                give(&path, 0o700);
                            }
                            Kind::Message => {
                                fs::hard_link(home.join(&part.path), &path).expect("a link");
                            }
                            Kind::File(bytes) => {
                                fs::write(&path, bytes).expect("a file");
                                give(&path, 0o600);
                            }
                        }
                    }
                }
            });
        }
    });
    println!("{:<52} {:>10}", "messages (hard links) in each", messages);
}

fn add_accounts(directory: &Path, accounts: usize) {
    let mut sql = String::from("BEGIN;\n");
    // As quick to verify as can be: this is not about hashing.
    sql.push_str(&format!(
        "UPDATE mailbox SET password = '{{PLAIN}}{PASSWORD}';\n"
    ));
    for n in 1..accounts {
        let (address, local) = (address(n), format!("user{n:05}"));
        sql.push_str(&format!(
            "INSERT INTO mailbox (username, password, name, maildir, quota, local_part, domain) \
             VALUES ('{address}', '{{PLAIN}}{PASSWORD}', '', 'example.test/{local}/', 0, '{local}', 'example.test');\n\
             INSERT INTO alias (address, goto, domain) VALUES ('{address}', '{address}', 'example.test');\n"
        ));
    }
    sql.push_str("COMMIT;\n");
    let mut child = Command::new("sqlite3")
        .arg(directory)
        .stdin(Stdio::piped())
        .spawn()
        .expect("sqlite3");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(sql.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "sqlite3 failed");
}

/// One message to each account in this order.
fn deliveries(facteur: &Facteur, order: &[usize], name: &str) {
    let next = AtomicUsize::new(0);
    let (cpu_before, flushes_before) = (cpu(facteur), flushes());
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut lmtp = Smtp::connect(facteur.address("lmtp"));
                lmtp.expect("LHLO client.example", 250);
                while let Some(n) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let reply =
                        lmtp.send("sender@elsewhere.example", &[&address(*n)], &message(*n));
                    assert_eq!(reply.code, 250, "{reply:?}");
                }
            });
        }
    });
    let time = started.elapsed().as_secs_f64();
    let count = order.len() as f64;
    let cpu = (cpu(facteur) - cpu_before).as_secs_f64() * 1000.0;
    println!(
        "{name:<52} {:>10.0} /s, {:.2} ms CPU each, {:.2} flushes each",
        count / time,
        cpu / count,
        (flushes() - flushes_before) as f64 / count,
    );
}
