//! A private PostgreSQL.

use std::process::Command;

use super::{Database, Missing, Owner, Server, program, run};

/// A PostgreSQL server with an empty database `postfix`, its owner `postfix` and the user `reader`
/// who may only read what `postfix` makes there.
pub struct Postgres {
    server: Option<Server>,
    folder: tempfile::TempDir,
    owner: Owner,
}

impl Postgres {
    /// Makes and starts one.
    ///
    /// # Errors
    /// When it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Result<Self, Missing> {
        let initdb = program("initdb")?;
        program("postgres")?;
        program("psql")?;
        let owner = Owner::of("postgres")?;
        let folder = owner.folder();
        let mut command = owner.command(&initdb);
        command
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
                "--username=postgres",
                "-D",
            ])
            .arg(folder.path().join("data"));
        run(&mut command).expect("initdb");
        let mut database = Self {
            server: None,
            folder,
            owner,
        };
        database.run();
        for (name, sql) in [
            ("postgres", "CREATE ROLE postfix LOGIN"),
            ("postgres", "CREATE ROLE reader LOGIN"),
            ("postgres", "CREATE DATABASE postfix OWNER postfix"),
            (
                "postfix",
                "ALTER DEFAULT PRIVILEGES FOR ROLE postfix GRANT SELECT ON TABLES TO reader",
            ),
        ] {
            run(database.client("postgres", name).args(["-c", sql])).expect("SQL");
        }
        Ok(database)
    }

    fn run(&mut self) {
        let path = self.folder.path();
        let mut command = self.owner.command(&program("postgres").expect("was there"));
        command.arg("-D").arg(path.join("data")).arg("-k").arg(path);
        for setting in ["listen_addresses=", "fsync=off", "shared_buffers=16MB"] {
            command.args(["-c", setting]);
        }
        let ready = || run(self.client("postgres", "postgres").args(["-c", "SELECT 1"])).is_ok();
        self.server = Some(Server::start(command, &path.join("log"), ready));
    }

    fn client(&self, user: &str, database: &str) -> Command {
        let mut command = Command::new(program("psql").expect("was there"));
        command.arg("-h").arg(self.folder.path());
        command.args(["-U", user, "-v", "ON_ERROR_STOP=1", database]);
        command
    }
}

impl Database for Postgres {
    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Killed outright it would leave processes that keep it from starting again.
            server.interrupt();
        }
    }

    fn resume(&mut self) {
        self.run();
    }

    fn execute(&self, sql: &str) {
        run(self.client("postfix", "postfix").args(["-c", sql])).expect("SQL");
    }

    fn url(&self, user: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres://{user}@localhost/postfix?host={folder}")
    }

    fn postfixadmin_settings(&self) -> String {
        format!(
            "$CONF['database_type'] = 'pgsql'; $CONF['database_host'] = '{}'; \
             $CONF['database_user'] = 'postfix'; $CONF['database_password'] = 'motdepasse'; \
             $CONF['database_name'] = 'postfix';",
            self.folder.path().display()
        )
    }
}
