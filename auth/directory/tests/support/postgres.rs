//! A private PostgreSQL.

use std::process::Command;

use super::{Database, Missing, Owner, Server, program, run};

/// A PostgreSQL server with an empty database `postfix`, its owner `postfix` and the user `reader`
/// who may only read what `postfix` makes there.
pub(crate) struct Postgres {
    _server: Server,
    folder: tempfile::TempDir,
}

impl Postgres {
    pub(crate) fn start() -> Result<Self, Missing> {
        let (initdb, postgres, psql) = (program("initdb")?, program("postgres")?, program("psql")?);
        let owner = Owner::of("postgres")?;
        let folder = owner.folder();
        let data = folder.path().join("data");
        let mut command = owner.command(&initdb);
        command
            .args([
                "--auth=trust",
                "--encoding=UTF8",
                "--no-sync",
                "--username=postgres",
                "-D",
            ])
            .arg(&data);
        run(&mut command).expect("initdb");
        let mut command = owner.command(&postgres);
        command
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=16MB",
            ]);
        let client = |database: &str| {
            let mut command = Command::new(&psql);
            command.arg("-h").arg(folder.path());
            command.args(["-U", "postgres", "-v", "ON_ERROR_STOP=1", database]);
            command
        };
        let ready = || run(client("postgres").args(["-c", "SELECT 1"])).is_ok();
        let server = Server::start(command, &folder.path().join("log"), ready);
        for (database, sql) in [
            ("postgres", "CREATE ROLE postfix LOGIN"),
            ("postgres", "CREATE ROLE reader LOGIN"),
            ("postgres", "CREATE DATABASE postfix OWNER postfix"),
            (
                "postfix",
                "ALTER DEFAULT PRIVILEGES FOR ROLE postfix GRANT SELECT ON TABLES TO reader",
            ),
        ] {
            run(client(database).args(["-c", sql])).expect("SQL");
        }
        Ok(Self {
            _server: server,
            folder,
        })
    }
}

impl Database for Postgres {
    fn execute(&self, sql: &str) {
        let mut command = Command::new(program("psql").expect("was there"));
        command.arg("-h").arg(self.folder.path());
        command.args([
            "-U",
            "postfix",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            "postfix",
        ]);
        run(&mut command).expect("SQL");
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
