//! Started as root: what the parent opens for the server, and who the server becomes.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::Write as _,
    os::unix::{
        fs::{DirBuilderExt as _, MetadataExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, anyhow, bail};
use facteur_config::Config;
use facteur_runtime::{Item, Kind, ListenAddress, ListenSocket, Supplier};

use crate::wiring::{self, Key};

/// Whether there is somebody to serve as; of use to root alone.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    match rustix::process::geteuid().is_root() {
        true => identity(config).map(drop),
        false => Ok(()),
    }
}

/// Who the server becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    uid: u32,
    gid: u32,
}

/// Keeps root in a small parent and serves as another user.
pub(crate) fn as_parent(file: &Path) -> anyhow::Result<ExitCode> {
    let loaded = crate::cli::load(file)?;
    let identity = identity(&loaded.config)?;
    crate::log::start(&loaded.config.log)?;
    let mut arguments: Vec<OsString> = vec!["--config".into(), file.into()];
    arguments.extend(["serve".into(), "--from-parent".into()]);
    let opener = Opener {
        file: file.to_owned(),
        identity,
        sockets: HashMap::new(),
    };
    let status = facteur_runtime::run_parent(&arguments, identity.uid, identity.gid, opener)
        .context("cannot start the server")?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        // As a shell says it.
        (None, Some(signal)) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        (None, None) => ExitCode::FAILURE,
    })
}

/// Opens for the child whatever the configuration names now.
struct Opener {
    file: PathBuf,
    identity: Identity,
    sockets: HashMap<String, ListenSocket>,
}

impl Supplier for Opener {
    fn supply(&mut self) -> Result<Vec<Item>, String> {
        self.open().map_err(|error| format!("{error:#}"))
    }

    fn ready(&mut self) {
        if let Err(error) = facteur_runtime::notify_ready() {
            tracing::warn!(%error, "cannot say that the server is ready");
        }
    }

    fn stopping(&mut self) {
        if let Err(error) = facteur_runtime::notify_stopping() {
            tracing::warn!(%error, "cannot say that the server stops");
        }
        self.close();
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.close();
    }
}

impl Opener {
    fn close(&mut self) {
        for (address, _) in self.sockets.drain() {
            remove_socket(&address);
        }
    }

    fn open(&mut self) -> anyhow::Result<Vec<Item>> {
        let file = &self.file;
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the configuration {}", file.display()))?;
        let loaded = Config::parse(file, &text)?;
        let config = &loaded.config;
        let mut items = vec![Item {
            kind: Kind::Configuration,
            name: file.to_string_lossy().into_owned(),
            fd: memory_file(text.as_bytes())?.into(),
        }];
        make_data_folder(config, self.identity)?;
        for (key, path) in wiring::certificate_files(config).into_iter().flatten() {
            let opened = File::open(path)
                .with_context(|| format!("cannot read {}", path.display()))
                .context(Key::new(key))
                .map_err(|error| wiring::located(&loaded, error))?;
            items.push(Item {
                kind: Kind::File,
                name: path.to_string_lossy().into_owned(),
                fd: opened.into(),
            });
        }
        let mut opened = HashMap::new();
        for spec in wiring::specs(config) {
            let key = spec.socket_key();
            let socket = match self.sockets.get(&key) {
                Some(socket) => socket.try_clone()?,
                None => self
                    .open_socket(&spec.address, spec.mode)
                    .map_err(|error| {
                        let cause = error.downcast_ref::<std::io::Error>();
                        let (address, protocol) = (&spec.address, spec.protocol.name());
                        let hint =
                            cause.map_or("", |cause| facteur_runtime::listen_hint(address, cause));
                        anyhow!("cannot listen on {address} ({protocol}): {error:#}{hint}")
                    })?,
            };
            opened.insert(key, socket);
        }
        for (key, socket) in &opened {
            items.push(Item {
                kind: Kind::Listener,
                name: key.clone(),
                fd: rustix::io::fcntl_dupfd_cloexec(socket, 3)?,
            });
        }
        // Only now, so that a configuration that cannot be had leaves everything as it was.
        let before = std::mem::replace(&mut self.sockets, opened);
        for key in before.keys().filter(|key| !self.sockets.contains_key(*key)) {
            remove_socket(key);
        }
        Ok(items)
    }

    fn open_socket(&self, address: &str, mode: u32) -> anyhow::Result<ListenSocket> {
        let parsed = ListenAddress::parse(address)?;
        if let ListenAddress::Unix(path) = &parsed
            && let Some(folder) = path.parent()
        {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)?;
        }
        let socket = ListenSocket::open(&parsed, mode)?;
        if let ListenAddress::Unix(path) = &parsed {
            std::os::unix::fs::lchown(path, Some(self.identity.uid), Some(self.identity.gid))?;
        }
        Ok(socket)
    }
}

/// The data folder exists and belongs to the server; what is in it is the server's own.
fn make_data_folder(config: &Config, identity: Identity) -> anyhow::Result<()> {
    let folder = &config.general.data_directory;
    if folder.exists() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(folder)
        .and_then(|()| std::os::unix::fs::chown(folder, Some(identity.uid), Some(identity.gid)))
        .with_context(|| format!("cannot make the data folder {}", folder.display()))
}

/// The same for root's commands before the first start: a folder of root's own would be closed to
/// the server. Without a user to serve as there is nobody to give it to.
pub(crate) fn prepare_data(config: &Config) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    match identity(config) {
        Ok(identity) => make_data_folder(config, identity),
        Err(_) => Ok(()),
    }
}

/// Lets this thread go on as the owner of `folder`, if it is root's: what root makes there would be
/// closed to the server.
pub(crate) fn become_owner(folder: &Path) -> std::io::Result<()> {
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    let owner = fs::metadata(folder)?;
    if !rustix::process::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let (gid, uid) = (
        rustix::process::Gid::from_raw(owner.gid()),
        rustix::process::Uid::from_raw(owner.uid()),
    );
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    Ok(())
}

/// Removes what a Unix socket leaves in the file system.
fn remove_socket(address: &str) {
    if let Some(path) = address.strip_prefix("unix:") {
        let _ = fs::remove_file(path);
    }
}

fn memory_file(contents: &[u8]) -> anyhow::Result<File> {
    let fd = rustix::fs::memfd_create("facteur.toml", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(contents)?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file)
}

fn identity(config: &Config) -> anyhow::Result<Identity> {
    let (user, group) = (&config.process.user, &config.process.group);
    let passwd = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let groups = fs::read_to_string("/etc/group").context("cannot read /etc/group")?;
    let Some(mut identity) = find_user(&passwd, user) else {
        bail!(
            "started as root, and there is no user {user:?} to serve as: make one (useradd --system --user-group --no-create-home {user}), name another in process.user, or start facteur as an unprivileged user"
        );
    };
    if !group.is_empty() {
        identity.gid = find_group(&groups, group)
            .with_context(|| format!("process.group: there is no group {group:?}"))?;
    }
    if identity.uid == 0 || identity.gid == 0 {
        bail!(
            "process.user and process.group must not be root: a mail server needs none of its power"
        );
    }
    Ok(identity)
}

/// A user by name or number, from the text of /etc/passwd (passwd(5)).
fn find_user(passwd: &str, user: &str) -> Option<Identity> {
    let number: Option<u32> = user.parse().ok();
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (name == user || number == Some(uid)).then_some(Identity { uid, gid })
    })
}

/// A group by name or number, from the text of /etc/group (group(5)).
fn find_group(groups: &str, group: &str) -> Option<u32> {
    let number: Option<u32> = group.parse().ok();
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        (name == group || number == Some(gid)).then_some(gid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nvmail:x:20001:20002::/home/virtual:/bin/false\n";

    /// `facteur queue hold` of root, with no server running, left files that the server could not
    /// read; `facteur domain add` before the first start a whole data folder.
    #[test]
    fn what_root_makes_belongs_to_the_server() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: this test is root's");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let text = format!(
            "data_directory = {:?}\n[process]\nuser = \"nobody\"\n",
            data.display().to_string()
        );
        let config = Config::parse(Path::new("facteur.toml"), &text)
            .unwrap()
            .config;
        prepare_data(&config).unwrap();
        let nobody = identity(&config).unwrap();
        assert_eq!(fs::metadata(&data).unwrap().uid(), nobody.uid);
        std::os::unix::fs::chown(folder.path(), Some(nobody.uid), Some(nobody.gid)).unwrap();
        // The change is this thread's only.
        let file = data.join("file");
        let made = file.clone();
        std::thread::spawn(move || {
            become_owner(&data).unwrap();
            fs::write(made, "x").unwrap();
        })
        .join()
        .unwrap();
        let made = fs::metadata(file).unwrap();
        assert_eq!((made.uid(), made.gid()), (nobody.uid, nobody.gid));
        assert!(rustix::process::geteuid().is_root());
    }

    #[test]
    fn user_is_found_by_name_and_by_number() {
        let vmail = Some(Identity {
            uid: 20001,
            gid: 20002,
        });
        assert_eq!(find_user(PASSWD, "vmail"), vmail);
        assert_eq!(find_user(PASSWD, "20001"), vmail);
        assert_eq!(find_user(PASSWD, "vma"), None);
        assert_eq!(find_group("mail:x:8:a,b\n", "mail"), Some(8));
        assert_eq!(find_group("mail:x:8:a,b\n", "8"), Some(8));
    }
}
