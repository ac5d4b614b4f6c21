//! A command: run by itself, not by a shell, for a bounded time.

use std::{path::Path, process::Stdio, time::Duration};

use facteur_model::AccountSpec;
use tokio::io::AsyncReadExt as _;

/// Longest run.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Most of what it says on its standard error that the log has.
const MAX_SAID: u64 = 1024;

/// Where a script finds its commands.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program and its arguments, in which `%u`, `%n` and `%d` are the account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("it cannot be run: {0}")]
    Start(#[from] std::io::Error),
    #[error("{0}{1}")]
    Failed(std::process::ExitStatus, String),
    #[error("it did not end within {} s", MAX_TIME.as_secs())]
    Time,
}

impl Command {
    pub(super) fn new<'a>(program: String, arguments: impl Iterator<Item = &'a str>) -> Self {
        Self {
            program,
            arguments: arguments.map(str::to_owned).collect(),
        }
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Runs it for an account, as whoever we are.
    pub(super) async fn run(&self, account: &AccountSpec) -> Result<(), CommandError> {
        self.run_within(account, MAX_TIME).await
    }

    async fn run_within(&self, account: &AccountSpec, time: Duration) -> Result<(), CommandError> {
        let user = account.id.as_str();
        let mut child = tokio::process::Command::new(&self.program)
            .args(self.arguments.iter().map(|word| expand(word, user)))
            .env_clear()
            .env("PATH", PATH)
            .env("USER", user)
            .env("HOME", &account.home)
            .current_dir(Path::new("/"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // What it starts ends with it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = child.id();
        let mut stderr = child.stderr.take();
        let work = async {
            let mut said = Vec::new();
            if let Some(stderr) = &mut stderr {
                stderr.take(MAX_SAID).read_to_end(&mut said).await?;
                tokio::io::copy(stderr, &mut tokio::io::sink()).await?;
            }
            Ok::<_, std::io::Error>((child.wait().await?, said))
        };
        match tokio::time::timeout(time, work).await {
            Ok(done) => {
                let (status, said) = done?;
                if status.success() {
                    return Ok(());
                }
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                let said = match said.is_empty() {
                    true => said,
                    false => format!(": {said:?}"),
                };
                Err(CommandError::Failed(status, said))
            }
            Err(_) => {
                let group = group.and_then(|id| i32::try_from(id).ok());
                if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
                    let _ =
                        rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                Err(CommandError::Time)
            }
        }
    }
}

/// Fills in Dovecot's variables. Whatever an account is called stays within one argument.
fn expand(word: &str, user: &str) -> String {
    let (local, domain) = user.rsplit_once('@').unwrap_or((user, ""));
    let mut out = String::with_capacity(word.len());
    let mut rest = word.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('u') => out.push_str(user),
            Some('n') => out.push_str(local),
            Some('d') => out.push_str(domain),
            Some('%') => out.push('%'),
            other => {
                out.push('%');
                out.extend(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use facteur_model::{AccountId, QuotaLimits};

    use super::*;

    fn account() -> AccountSpec {
        AccountSpec {
            id: AccountId::new("o'neil;$(id)@example.org"),
            home: "/srv/mail".into(),
            format: facteur_model::MailFormat::Sdbox,
            quota: QuotaLimits::default(),
        }
    }

    fn shell(script: &'static str) -> Command {
        Command::new(
            "/bin/sh".to_owned(),
            ["-c", script, "sh", "95%%", "%u", "%n|%d", "%x"].into_iter(),
        )
    }

    #[tokio::test]
    async fn arguments_and_environment_are_what_was_configured() {
        let script = "[ \"$1\" = 95% ] && [ \"$2\" = \"$USER\" ] && [ \"$3\" = \"o'neil;\\$(id)|example.org\" ] \
             && [ \"$4\" = %x ] && [ \"$HOME\" = /srv/mail ] && [ -z \"$CARGO\" ] && ! read -r line";
        shell(script).run(&account()).await.unwrap();
    }

    #[tokio::test]
    async fn failure_says_what_the_command_said() {
        let failed = shell("echo no room >&2; exit 3").run(&account()).await;
        let error = failed.unwrap_err().to_string();
        assert!(error.contains("3") && error.contains("no room"), "{error}");
        let missing = Command::new("/no/such/program".to_owned(), std::iter::empty());
        let error = missing.run(&account()).await.unwrap_err();
        assert!(matches!(error, CommandError::Start(_)), "{error}");
    }

    #[tokio::test]
    async fn command_that_hangs_is_ended_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let arguments = [
            "-c",
            "sleep 1000 & echo $! > \"$1\"; wait",
            "sh",
            pid.to_str().unwrap(),
        ];
        let command = Command::new("/bin/sh".to_owned(), arguments.into_iter());
        let ended = command.run_within(&account(), Duration::from_secs(1)).await;
        assert!(matches!(ended, Err(CommandError::Time)), "{ended:?}");
        let pid = std::fs::read_to_string(pid).unwrap();
        // Killed; whoever inherited it takes it away.
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        while state().is_ok_and(|state| !state.contains(") Z ")) {
            tokio::task::yield_now().await;
        }
    }
}
