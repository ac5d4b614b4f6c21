use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::*;
use crate::{Admin, DomainKind, NewAccount, NewDomain, QuotaLimits};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("directory.db")
    }

    fn options(&self, queries: Queries) -> SqlOptions {
        let home = HomeTemplate::parse("/srv/mail/%d/%n").unwrap();
        SqlOptions {
            queries,
            ..SqlOptions::new(format!("sqlite:{}", self.file().display()), home)
        }
    }

    /// A database of somebody's own.
    async fn foreign(&self, statements: &[&str]) {
        fs::write(self.file(), "").unwrap();
        let url = format!("sqlite:{}", self.file().display());
        let pool = pool::Target::parse(&url)
            .unwrap()
            .pool(1, Duration::from_secs(5));
        for statement in statements {
            pool.execute(&Arc::from(*statement), &[]).await.unwrap();
        }
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

async fn account(sql: &Sql, text: &str) -> Option<Arc<AccountRecord>> {
    sql.account(&address(text)).await.unwrap()
}

fn dovecot(user: &str, password: &str) -> Queries {
    let some = |query: &str| Some(query.to_owned()).filter(|query| !query.is_empty());
    Queries {
        user_query: some(user),
        password_query: some(password),
        ..Queries::default()
    }
}

/// `directory.db` was lost, the server made an empty one, and 550 went to whoever wrote to its users.
#[tokio::test]
async fn directory_that_is_lost_is_unavailable_until_it_is_back() {
    let folder = Folder::new();
    let lost = || SqlOptions {
        create: false,
        ..folder.options(Queries::default())
    };
    let domain = Domain::parse("example.org").unwrap();
    let bob = address("bob@example.org");
    for empty in [false, true] {
        if empty {
            fs::write(folder.file(), "").unwrap();
        }
        let sql = Sql::open(lost()).await.unwrap();
        let told = sql.check().await.unwrap_err().to_string();
        assert!(told.contains("there is nothing at"), "{told}");
        assert!(told.contains("directory.db"), "{told}");
        sql.domain(&domain).await.unwrap_err();
        sql.account(&bob).await.unwrap_err();
        assert_eq!(folder.file().exists(), empty);
    }
    let sql = Sql::open(lost()).await.unwrap();
    sql.domain(&domain).await.unwrap_err();
    let made = Sql::open(folder.options(Queries::default())).await.unwrap();
    let admin = Admin::new(&made);
    admin
        .add_domain(&NewDomain::new(domain.clone()))
        .await
        .unwrap();
    assert!(sql.domain(&domain).await.unwrap().is_some());
    assert!(sql.account(&bob).await.unwrap().is_none());
}

#[tokio::test]
async fn database_that_is_damaged_says_so_and_where() {
    let folder = Folder::new();
    fs::write(folder.file(), vec![7; 8192]).unwrap();
    let sql = Sql::open(folder.options(Queries::default())).await.unwrap();
    let told = sql.check().await.unwrap_err().to_string();
    assert!(told.contains("directory.db is damaged"), "{told}");
}

/// A database that was still being filled had no domains: nobody existed.
#[tokio::test]
async fn database_without_tables_is_unavailable_not_empty() {
    let folder = Folder::new();
    folder.foreign(&["CREATE TABLE other (x)"]).await;
    let sql = Sql::open(folder.options(Queries::default())).await.unwrap();
    let domain = Domain::parse("example.org").unwrap();
    let told = sql.domain(&domain).await.unwrap_err().to_string();
    assert!(told.contains("no table \"domain\""), "{told}");
    let bob = address("bob@example.org");
    sql.account(&bob).await.unwrap_err();
}

#[tokio::test]
async fn missing_file_is_made_with_the_tables_and_for_us_only() {
    let folder = Folder::new();
    let sql = Sql::open(folder.options(Queries::default())).await.unwrap();
    sql.check().await.unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let admin = Admin::new(&sql);
    let domain = Domain::parse("example.org").unwrap();
    admin
        .add_domain(&NewDomain::new(domain.clone()))
        .await
        .unwrap();
    let bob = NewAccount {
        address: address("Bob@example.org"),
        password: "{PLAIN}secret".to_owned(),
        name: "Bob".to_owned(),
        quota: None,
    };
    admin.add_account(&bob).await.unwrap();
    drop(sql);
    let sql = Sql::open(folder.options(Queries::default())).await.unwrap();
    let record = account(&sql, "bob@example.org").await.unwrap();
    assert_eq!(record.home, Path::new("/srv/mail/example.org/bob"));
    let kind = sql.domain(&domain).await.unwrap().map(|domain| domain.kind);
    assert_eq!(kind, Some(DomainKind::Local));
}

#[tokio::test]
async fn database_that_is_not_ours_is_not_altered() {
    let folder = Folder::new();
    folder
        .foreign(&["CREATE TABLE users (email TEXT, hash TEXT)"])
        .await;
    let before = fs::read(folder.file()).unwrap();
    let sql = Sql::open(folder.options(Queries::default())).await.unwrap();
    let error = sql.check().await.unwrap_err();
    assert!(error.0.contains("\"domain\""), "{error}");
    sql.account(&address("bob@example.org")).await.unwrap_err();
    sql.record_usage(&address("bob@example.org"), 1, 1)
        .await
        .unwrap();
    let error = Admin::new(&sql).domains().await;
    assert!(matches!(error, Err(crate::AdminError::NoTable("domain"))));
    drop(sql);
    assert_eq!(fs::read(folder.file()).unwrap(), before);
}

#[tokio::test]
async fn dovecot_columns_of_own_tables_are_understood() {
    let folder = Folder::new();
    folder
        .foreign(&[
            "CREATE TABLE users (email TEXT, hash TEXT, dir TEXT, mb INTEGER, off INTEGER)",
            "INSERT INTO users VALUES ('bob@example.org', '{PLAIN}x', '/srv/bob', 5, NULL)",
            "INSERT INTO users VALUES ('eve@example.org', '{PLAIN}x', NULL, 0, 1)",
            "INSERT INTO users VALUES ('odd@example.org', '{PLAIN}x', 'relative', 0, NULL)",
        ])
        .await;
    let queries = dovecot(
        "SELECT dir AS home, '*:storage=' || mb || 'M' AS quota_rule FROM users WHERE email = '%Lu'",
        "SELECT email AS user, hash AS password, off AS nologin FROM users WHERE email = '%n@%d'",
    );
    let sql = Sql::open(folder.options(queries)).await.unwrap();
    let bob = account(&sql, "bob@example.org").await.unwrap();
    assert_eq!(bob.home, Path::new("/srv/bob"));
    assert_eq!(bob.password.as_deref(), Some("{PLAIN}x"));
    let five_megabytes = QuotaLimits {
        bytes: Some(5 << 20),
        ..QuotaLimits::default()
    };
    assert_eq!(bob.quota, five_megabytes);
    let eve = account(&sql, "eve@example.org").await.unwrap();
    assert_eq!((eve.password.as_deref(), eve.quota.bytes), (None, None));
    assert_eq!(eve.home, Path::new("/srv/mail/example.org/eve"));
    assert!(
        account(&sql, "odd@example.org").await.is_none(),
        "no usable home"
    );
    assert!(
        account(&sql, "' OR '1'='1@example.org".replace(' ', "").as_str())
            .await
            .is_none()
    );
}

#[tokio::test]
async fn password_query_alone_gives_the_userdb_columns_too() {
    let folder = Folder::new();
    folder
        .foreign(&[
            "CREATE TABLE users (email TEXT, hash TEXT)",
            "INSERT INTO users VALUES ('bob@example.org', '{PLAIN}x')",
        ])
        .await;
    let queries = dovecot(
        "",
        "SELECT email AS user, hash AS password, '/srv/%n' AS userdb_home, \
         '*:bytes=7' AS userdb_quota_rule FROM users WHERE email = '%u'",
    );
    let sql = Sql::open(folder.options(queries)).await.unwrap();
    let bob = account(&sql, "bob@example.org").await.unwrap();
    assert_eq!(
        (bob.home.as_path(), bob.quota.bytes),
        (Path::new("/srv/bob"), Some(7))
    );
}

#[tokio::test]
async fn sender_login_maps_name_the_owners() {
    let folder = Folder::new();
    folder
        .foreign(&[
            "CREATE TABLE senders (address TEXT, login TEXT)",
            "INSERT INTO senders VALUES ('news@example.org', 'bob@example.org, eve@example.org')",
            "INSERT INTO senders VALUES ('@example.net', 'bob@example.org')",
        ])
        .await;
    let queries = Queries {
        smtpd_sender_login_maps: vec!["SELECT login FROM senders WHERE address='%s'".to_owned()],
        ..Queries::default()
    };
    let sql = Sql::open(folder.options(queries)).await.unwrap();
    let logins = async |text| sql.sender_login(&address(text)).await.unwrap().unwrap();
    assert_eq!(
        logins("News@example.org").await,
        ["bob@example.org", "eve@example.org"]
    );
    assert_eq!(logins("any@example.net").await, ["bob@example.org"]);
    assert!(logins("bob@example.org").await.is_empty());
}

#[tokio::test]
async fn query_that_fails_is_unavailable_and_not_an_unknown_user() {
    let folder = Folder::new();
    folder.foreign(&["CREATE TABLE users (email TEXT)"]).await;
    let queries = dovecot("SELECT nothing FROM users WHERE email = '%u'", "");
    let sql = Sql::open(folder.options(queries)).await.unwrap();
    assert!(sql.account(&address("bob@example.org")).await.is_err());
}

#[tokio::test]
async fn unusable_options_are_refused_with_their_key_and_without_the_password() {
    let folder = Folder::new();
    let mut options = folder.options(dovecot("SELECT '%q'", ""));
    let error = Sql::open(options.clone()).await.map(drop).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("user_query: unknown variable")
    );
    options.queries = Queries::default();
    for url in ["oracle://x", "mysql://u:s3cret@host:port/db", "nothing"] {
        options.url = url.to_owned();
        let error = Sql::open(options.clone()).await.map(drop).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}
