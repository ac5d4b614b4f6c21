//! PostfixAdmin as Debian packages it: it makes the schema, so that none of ours is tested.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Missing, program, run};

/// A database PostfixAdmin can be pointed at.
pub trait Database {
    /// Stops it.
    fn stop(&mut self);
    /// Starts it again.
    fn resume(&mut self);
    /// Runs SQL as the tables' owner.
    fn execute(&self, sql: &str);
    /// Its URL for a user.
    fn url(&self, user: &str) -> String;
    /// The lines of PostfixAdmin's configuration.
    fn postfixadmin_settings(&self) -> String;
}

/// PostfixAdmin's files, unpacked in a folder of this test's.
pub struct PostfixAdmin {
    folder: tempfile::TempDir,
    php: PathBuf,
}

impl PostfixAdmin {
    /// The installed package, or the one that apt fetches.
    ///
    /// # Errors
    /// When there is neither.
    ///
    /// # Panics
    /// When it cannot be unpacked.
    pub fn unpack() -> Result<Self, Missing> {
        let php = program("php")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let installed = Path::new("/usr/share/postfixadmin");
        let (share, settings) = if installed.is_dir() {
            (installed.to_owned(), PathBuf::from("/etc/postfixadmin"))
        } else {
            let root = fetched()?;
            (
                root.join("usr/share/postfixadmin"),
                root.join("etc/postfixadmin"),
            )
        };
        let copy = folder.path().join("postfixadmin");
        run(Command::new("cp").arg("-R").arg(&share).arg(&copy)).expect("cp");
        // The package links its settings to /etc, and reads what debconf asked for the database.
        for link in ["config.inc.php", "config.local.php", "templates_c"] {
            let _ = fs::remove_file(copy.join(link));
        }
        let config = fs::read_to_string(settings.join("config.inc.php")).expect("its settings");
        let config = config.replace("require_once('dbconfig.inc.php');", "");
        fs::write(copy.join("config.inc.php"), config).expect("write");
        let _ = fs::create_dir(copy.join("templates_c"));
        Ok(Self { folder, php })
    }

    /// Makes (or upgrades) the schema. Gives what it said.
    ///
    /// # Panics
    /// When it fails.
    pub fn upgrade(&self, settings: &str) -> String {
        let copy = self.folder.path().join("postfixadmin");
        let settings = format!(
            "<?php $dbtype = ''; {settings} $CONF['configured'] = true; \
             $CONF['setup_password'] = 'none';"
        );
        fs::write(copy.join("config.local.php"), settings).expect("write");
        let sessions = format!("session.save_path={}", self.folder.path().display());
        let mut command = Command::new(&self.php);
        command
            .args([
                "-d",
                &sessions,
                "-d",
                "error_reporting=E_ERROR",
                "upgrade.php",
            ])
            .current_dir(copy.join("public"));
        run(&mut command).expect("upgrade.php")
    }
}

/// The package, fetched once for all tests.
fn fetched() -> Result<PathBuf, Missing> {
    let missing = |_| Missing("the Debian package postfixadmin".to_owned());
    let own = std::env::current_exe().expect("the test's own path");
    let target = own.ancestors().nth(3).expect("target/…/deps/test");
    let folder = target.join("tmp/postfixadmin");
    let root = folder.join("root");
    let there = || root.join("usr/share/postfixadmin").is_dir();
    // It is moved there whole, so this needs no lock (nor the right to write there).
    if there() {
        return Ok(root);
    }
    fs::create_dir_all(&folder).expect("a folder");
    let lock = fs::File::create(folder.join("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !there() {
        let (apt, dpkg) = (program("apt-get")?, program("dpkg")?);
        run(Command::new(apt)
            .args(["-q", "download", "postfixadmin"])
            .current_dir(&folder))
        .map_err(missing)?;
        let package = fs::read_dir(&folder)
            .expect("the folder")
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ext| ext == "deb"))
            .ok_or(())
            .map_err(|()| Missing("the Debian package postfixadmin".to_owned()))?;
        let part = folder.join("part");
        let _ = fs::remove_dir_all(&part);
        run(Command::new(dpkg).arg("-x").arg(package).arg(&part)).expect("dpkg -x");
        fs::rename(&part, &root).expect("rename");
    }
    Ok(root)
}
