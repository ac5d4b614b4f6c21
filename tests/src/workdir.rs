//! Programs of others that are run to their end.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    Facteur, PATIENCE,
    server::{drop_root, give_away},
};

/// A folder in which programs of others run, as whoever the server runs as. Their settings, which may
/// hold passwords, are for that user only.
pub struct Workdir {
    path: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; 124 when it took too long.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it printed, then what it complained of.
    pub output: String,
}

impl Workdir {
    /// Makes a folder beside the server's data, which goes with the server.
    ///
    /// # Panics
    /// When it cannot be made, or is there.
    pub fn new(server: &Facteur, name: &str) -> Self {
        let this = Self {
            path: server.folder().join(name),
        };
        fs::create_dir(&this.path).expect("a folder for a program");
        fs::set_permissions(&this.path, fs::Permissions::from_mode(0o700)).expect("its mode");
        give_away(&this.path);
        this
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the folder.
    ///
    /// # Panics
    /// When it cannot.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .expect("a file");
        file.write_all(text.as_bytes()).expect("it is written");
        give_away(&path);
    }

    /// Makes a folder of the folder.
    ///
    /// # Panics
    /// When it cannot.
    pub fn folder(&self, name: &str) {
        let path = self.path.join(name);
        fs::create_dir(&path).expect("a folder");
        give_away(&path);
    }

    /// Reads a file of the folder.
    ///
    /// # Panics
    /// When it cannot.
    pub fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.path.join(name));
        let bytes = bytes.unwrap_or_else(|error| panic!("{name}: {error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Runs a program in the folder with `input` on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, program: &Path, arguments: &[&str], input: &str) -> Ran {
        let mut command = Command::new("timeout");
        drop_root(&mut command);
        let mut child = command
            .arg(PATIENCE.as_secs().to_string())
            .arg(program)
            .args(arguments)
            .current_dir(&self.path)
            .env("HOME", &self.path)
            .env("USER", "tester")
            .env("LC_ALL", "C.UTF-8")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("its standard input");
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("the program ends");
        Ran {
            code: output.status.code(),
            output: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            stdout: output.stdout,
        }
    }

    /// As [`Workdir::run`], and it must succeed; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn must(&self, program: &Path, arguments: &[&str], input: &str) -> String {
        let ran = self.run(program, arguments, input);
        assert_eq!(
            ran.code,
            Some(0),
            "{} {arguments:?}:\n{}",
            program.display(),
            ran.output
        );
        ran.output
    }
}
