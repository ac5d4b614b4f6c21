//! A private MariaDB.

use std::process::Command;

use super::{Database, Missing, Owner, Server, program, run};

/// A MariaDB server with an empty database `postfix`, the user `postfix` who owns it and the user
/// `reader` who may only read it; the password of both is `motdepasse`.
pub struct MariaDb {
    server: Option<Server>,
    folder: tempfile::TempDir,
    owner: Owner,
}

impl MariaDb {
    /// Makes and starts one.
    ///
    /// # Errors
    /// When it is not installed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start() -> Result<Self, Missing> {
        let install = program("mariadb-install-db")?;
        program("mariadbd")?;
        program("mariadb")?;
        let owner = Owner::of("mysql")?;
        let folder = owner.folder();
        let data = format!("--datadir={}", folder.path().join("data").display());
        let mut command = owner.command(&install);
        command.args(["--no-defaults", "--skip-test-db", &data]);
        command.arg("--auth-root-authentication-method=normal");
        run(&mut command).expect("mariadb-install-db");
        let mut database = Self {
            server: None,
            folder,
            owner,
        };
        database.run();
        database.sql(
            "mysql",
            "CREATE DATABASE postfix; \
             CREATE USER postfix@localhost IDENTIFIED BY 'motdepasse'; \
             CREATE USER reader@localhost IDENTIFIED BY 'motdepasse'; \
             GRANT ALL ON postfix.* TO postfix@localhost; \
             GRANT SELECT ON postfix.* TO reader@localhost",
        );
        Ok(database)
    }

    fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    fn run(&mut self) {
        let path = self.folder.path();
        let mut command = self.owner.command(&program("mariadbd").expect("was there"));
        command
            .args([
                "--no-defaults",
                "--skip-networking",
                "--innodb-buffer-pool-size=16M",
            ])
            .arg(format!("--datadir={}", path.join("data").display()))
            .arg(format!("--pid-file={}", path.join("pid").display()))
            .arg(format!("--socket={}", self.socket()));
        let ready = || run(self.client("mysql").args(["-e", "SELECT 1"])).is_ok();
        self.server = Some(Server::start(command, &path.join("log"), ready));
    }

    fn client(&self, database: &str) -> Command {
        let mut command = Command::new(program("mariadb").expect("was there"));
        command
            .args([
                "--no-defaults",
                "-u",
                "root",
                "-S",
                &self.socket(),
                database,
            ])
            .arg("--default-character-set=utf8mb4");
        command
    }

    /// What a query gives: a line for each row, with tabs between the columns.
    ///
    /// # Panics
    /// When it fails.
    pub fn rows(&self, sql: &str) -> String {
        run(self.client("postfix").args(["-N", "-B", "-e", sql])).expect("SQL")
    }

    fn sql(&self, database: &str, sql: &str) {
        run(self.client(database).args(["-e", sql])).expect("SQL");
    }
}

impl Database for MariaDb {
    fn stop(&mut self) {
        self.server = None;
    }

    fn resume(&mut self) {
        self.run();
    }

    fn execute(&self, sql: &str) {
        self.sql("postfix", sql);
    }

    fn url(&self, user: &str) -> String {
        let socket = self.socket();
        format!("mysql://{user}:motdepasse@localhost/postfix?socket={socket}")
    }

    fn postfixadmin_settings(&self) -> String {
        format!(
            "$CONF['database_type'] = 'mysqli'; $CONF['database_host'] = 'localhost'; \
             $CONF['database_socket'] = '{}'; $CONF['database_user'] = 'postfix'; \
             $CONF['database_password'] = 'motdepasse'; $CONF['database_name'] = 'postfix';",
            self.socket()
        )
    }
}
