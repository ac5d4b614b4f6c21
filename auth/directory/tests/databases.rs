//! The SQL directory on PostfixAdmin's own schema, on all three databases.
#![expect(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

use std::{path::Path, time::Duration};

use facteur_address::{Address, Domain};
use facteur_directory::{
    AccountChange, AccountRecord, Admin, AdminError, AliasAddress, Directory, DomainChange,
    DomainKind, HomeTemplate, NewAccount, NewDomain, Queries, Sql, SqlOptions,
};
use facteur_tests::database::{Database, MariaDb, PostfixAdmin, Postgres, require};

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn alias(text: &str) -> AliasAddress {
    text.parse().unwrap()
}

fn options(url: &str) -> SqlOptions {
    SqlOptions {
        timeout: Duration::from_secs(20),
        ..SqlOptions::new(url, HomeTemplate::parse("/home/virtual/%d/%n").unwrap())
    }
}

async fn open(url: &str) -> Sql {
    Sql::open(options(url)).await.unwrap()
}

async fn account(directory: &dyn Directory, text: &str) -> Option<std::sync::Arc<AccountRecord>> {
    directory.account(&address(text)).await.unwrap()
}

async fn kind(directory: &dyn Directory, name: &str) -> Option<DomainKind> {
    let record = directory.domain(&domain(name)).await.unwrap();
    record.map(|record| record.kind)
}

async fn goto(directory: &dyn Directory, text: &str) -> Vec<String> {
    let goto = match text.strip_prefix('@') {
        Some(name) => directory.catch_all(&domain(name)).await.unwrap(),
        None => directory.alias(&address(text)).await.unwrap(),
    };
    goto.unwrap_or_default()
}

/// Fills an empty schema through [`Admin`]: two domains, an alias domain, one we relay for, one
/// that is switched off; accounts, aliases, a catch-all.
async fn fill(admin: Admin<'_>) {
    let add = async |new: NewDomain| admin.add_domain(&new).await.unwrap();
    for name in ["example.org", "example.net", "off.example"] {
        add(NewDomain::new(domain(name))).await;
    }
    let relay = NewDomain::new(domain("backup.example"));
    add(NewDomain {
        kind: DomainKind::Relay,
        ..relay
    })
    .await;
    let alias_domain = NewDomain::new(domain("alias.example"));
    add(NewDomain {
        alias_of: Some(domain("example.org")),
        ..alias_domain
    })
    .await;
    for (name, quota) in [
        ("bob@example.org", 1_000_000),
        ("alice@example.org", 0),
        ("gone@example.org", 0),
        ("carol@off.example", 0),
        ("o'neil@example.net", 0),
    ] {
        let new = NewAccount {
            address: address(name),
            password: "{PLAIN}secret".to_owned(),
            name: "Somebody".to_owned(),
            quota: Some(quota),
        };
        admin.add_account(&new).await.unwrap();
    }
    for (name, to) in [
        ("info@example.org", "bob@example.org"),
        ("sales@off.example", "carol@off.example"),
        ("@example.net", "alice@example.org"),
        ("stopped@example.org", "bob@example.org"),
    ] {
        admin.add_alias(&alias(name), &[address(to)]).await.unwrap();
    }
    let inactive = AccountChange {
        active: Some(false),
        ..AccountChange::default()
    };
    let gone = address("gone@example.org");
    admin.set_account(&gone, &inactive).await.unwrap();
    let both = [address("bob@example.org"), address("alice@example.org")];
    let info = alias("info@example.org");
    admin.set_alias(&info, Some(&both), None).await.unwrap();
    let stopped = alias("stopped@example.org");
    admin.set_alias(&stopped, None, Some(false)).await.unwrap();
    let off = DomainChange {
        active: Some(false),
        ..DomainChange::default()
    };
    admin
        .set_domain(&domain("off.example"), &off)
        .await
        .unwrap();
}

/// What every look-up must say of [`fill`]ed tables.
async fn expect_lookups(directory: &dyn Directory) {
    use DomainKind::{Local, Relay};
    for (name, expected) in [
        ("example.org", Some(Local)),
        ("example.net", Some(Local)),
        ("backup.example", Some(Relay)),
        ("off.example", None),
        ("unknown.example", None),
        ("all", None),
    ] {
        assert_eq!(kind(directory, name).await, expected, "{name}");
    }
    let bob = account(directory, "Bob@Example.org").await.unwrap();
    assert_eq!(bob.address, address("bob@example.org"));
    assert_eq!(bob.password.as_deref(), Some("{PLAIN}secret"));
    assert_eq!(bob.home, Path::new("/home/virtual/example.org/bob"));
    assert_eq!(bob.quota.bytes, Some(1_000_000));
    let alice = account(directory, "alice@example.org").await.unwrap();
    assert_eq!(alice.quota.bytes, None, "0 is unlimited");
    assert!(account(directory, "o'neil@example.net").await.is_some());
    for nobody in ["gone@example.org", "nobody@example.org", "b%b@example.org"] {
        assert!(account(directory, nobody).await.is_none(), "{nobody}");
    }
    assert_eq!(
        goto(directory, "info@example.org").await,
        ["bob@example.org", "alice@example.org"]
    );
    assert_eq!(goto(directory, "@example.net").await, ["alice@example.org"]);
    assert_eq!(
        goto(directory, "bob@example.org").await,
        ["bob@example.org"]
    );
    for nothing in [
        "stopped@example.org",
        "@example.org",
        "x' or '1'='1@example.org",
    ] {
        let nothing = nothing.replace(' ', "");
        assert!(goto(directory, &nothing).await.is_empty(), "{nothing}");
    }
}

/// What PostfixAdmin's tables alone say: inactive domains take what is in them along.
async fn expect_native(directory: &dyn Directory) {
    expect_lookups(directory).await;
    assert!(account(directory, "carol@off.example").await.is_none());
    assert!(goto(directory, "sales@off.example").await.is_empty());
    let target = directory.alias_domain(&domain("alias.example")).await;
    assert_eq!(target.unwrap(), Some(domain("example.org")));
    let no_target = directory.alias_domain(&domain("example.org")).await;
    assert_eq!(no_target.unwrap(), None);
    let mut accounts = directory.accounts().await.unwrap();
    accounts.sort();
    assert_eq!(
        accounts,
        ["alice@example.org", "bob@example.org", "o'neil@example.net"].map(address)
    );
}

/// Names that some collation takes for others.
async fn expect_exact_names(directory: &dyn Directory) {
    for other in ["böb@example.org", "漢字@example.org", "ﬁ@example.org"] {
        assert!(account(directory, other).await.is_none(), "{other}");
        assert!(goto(directory, other).await.is_empty(), "{other}");
    }
}

/// Limits and refusals of [`Admin`].
async fn expect_admin_rules(admin: Admin<'_>) {
    let small = NewDomain::new(domain("small.example"));
    let small = NewDomain {
        mailboxes: 1,
        aliases: -1,
        maxquota: 10,
        ..small
    };
    admin.add_domain(&small).await.unwrap();
    let again = admin.add_domain(&small).await.unwrap_err();
    assert!(matches!(again, AdminError::Exists(_)), "{again}");
    let new = |name: &str, quota| NewAccount {
        address: address(name),
        password: "{PLAIN}x".to_owned(),
        name: String::new(),
        quota,
    };
    let refused = async |new: NewAccount| admin.add_account(&new).await.unwrap_err();
    let error = refused(new("a@small.example", Some(11 << 20))).await;
    assert!(matches!(error, AdminError::Limit(_)), "{error}");
    admin
        .add_account(&new("a@small.example", None))
        .await
        .unwrap();
    let entry = admin.account(&address("a@small.example")).await.unwrap();
    assert_eq!(entry.quota, 10 << 20, "the domain's largest");
    let error = refused(new("b@small.example", None)).await;
    assert!(matches!(error, AdminError::Limit(_)), "{error}");
    let error = refused(new("a@small.example", None)).await;
    assert!(matches!(error, AdminError::Exists(_)), "{error}");
    let error = refused(new("a@nowhere.example", None)).await;
    assert!(matches!(error, AdminError::Missing(_)), "{error}");
    let (x, a) = (alias("x@small.example"), address("a@small.example"));
    let error = admin.add_alias(&x, std::slice::from_ref(&a)).await;
    assert!(matches!(error, Err(AdminError::Limit(_))));
    let error = admin.remove_domain(&small.name).await;
    assert!(matches!(error, Err(AdminError::InUse(_))));
    let error = admin.remove_alias(&alias("a@small.example")).await;
    assert!(matches!(error, Err(AdminError::InUse(_))));
    let unlimited = DomainChange {
        aliases: Some(0),
        ..DomainChange::default()
    };
    admin.set_domain(&small.name, &unlimited).await.unwrap();
    admin.add_alias(&x, std::slice::from_ref(&a)).await.unwrap();
    let removed = admin.remove_account(&a).await.unwrap();
    assert_eq!(removed.aliases, ["x@small.example"]);
    admin.remove_alias(&x).await.unwrap();
    admin.remove_domain(&small.name).await.unwrap();
    let error = admin.domain(&small.name).await;
    assert!(matches!(error, Err(AdminError::Missing(_))));
}

/// quota2 takes absolute counts, twice as well as once.
async fn expect_usage(sql: &Sql) {
    let bob = address("bob@example.org");
    for (bytes, messages) in [(1000, 2), (1000, 2), (3_000_000_000, 7), (10, 1)] {
        sql.record_usage(&bob, bytes, messages).await.unwrap();
        let entry = Admin::new(sql).account(&bob).await.unwrap();
        let expected = (i64::try_from(bytes).ok(), i64::try_from(messages).ok());
        assert_eq!((entry.bytes, entry.messages), expected);
    }
}

/// A user with SELECT only: everything is answered, nothing is changed.
async fn expect_read_only(url: &str) {
    let own = tempfile::tempdir().unwrap();
    let sql = Sql::open(SqlOptions {
        usage_database: Some(own.path().join("usage.db")),
        ..options(url)
    })
    .await
    .unwrap();
    sql.check().await.unwrap();
    expect_native(&sql).await;
    expect_exact_names(&sql).await;
    let bob = address("bob@example.org");
    let before = Admin::new(&sql).account(&bob).await.unwrap();
    for _ in 0..2 {
        sql.record_usage(&bob, 123, 4).await.unwrap();
    }
    assert_eq!(Admin::new(&sql).account(&bob).await.unwrap(), before);
    assert!(
        own.path().join("usage.db").exists(),
        "counted in our own file"
    );
    let error = Admin::new(&sql).remove_account(&bob).await.unwrap_err();
    assert!(matches!(error, AdminError::Refused(_)), "{error}");
}

async fn suite(database: &dyn Database, postfixadmin: &PostfixAdmin) {
    let said = postfixadmin.upgrade(&database.postfixadmin_settings());
    assert!(said.contains("updating to version"), "{said}");
    let sql = open(&database.url("postfix")).await;
    sql.check().await.unwrap();
    fill(Admin::new(&sql)).await;
    expect_native(&sql).await;
    expect_exact_names(&sql).await;
    expect_admin_rules(Admin::new(&sql)).await;
    expect_usage(&sql).await;
    expect_read_only(&database.url("reader")).await;
    // PostfixAdmin finds its schema as it left it.
    let said = postfixadmin.upgrade(&database.postfixadmin_settings());
    assert!(!said.contains("updating to version"), "{said}");
    // Older schemas have fewer columns, other people's fewer tables.
    for sql in [
        "ALTER TABLE mailbox DROP COLUMN phone",
        "ALTER TABLE mailbox DROP COLUMN password_expiry",
        "ALTER TABLE domain DROP COLUMN backupmx",
        "DROP TABLE quota2",
        "DROP TABLE alias_domain",
    ] {
        database.execute(sql);
    }
    let sql = open(&database.url("reader")).await;
    assert!(account(&sql, "bob@example.org").await.is_some());
    assert_eq!(kind(&sql, "backup.example").await, Some(DomainKind::Local));
    let target = sql.alias_domain(&domain("alias.example")).await;
    assert_eq!(target.unwrap(), None);
}

// Statements of the tests block their thread, and may wait for a lock of a transaction that is rolled
// back in the background: on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn postgres_with_postfixadmins_schema_answers_and_changes() {
    let Some(database) = require(Postgres::start()) else {
        return;
    };
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    suite(&database, &postfixadmin).await;
}

// Statements of the tests block their thread, and may wait for a lock of a transaction that is rolled
// back in the background: on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn mariadb_with_postfixadmins_schema_answers_and_changes() {
    let Some(database) = require(MariaDb::start()) else {
        return;
    };
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    suite(&database, &postfixadmin).await;
}

/// A SQLite file that PostfixAdmin made.
struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("postfixadmin.db")
    }

    fn settings(&self) -> String {
        format!(
            "$CONF['database_type'] = 'sqlite'; $CONF['database_name'] = '{}';",
            self.path().display()
        )
    }
}

#[tokio::test]
async fn sqlite_with_postfixadmins_schema_answers_and_changes() {
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    let file = SqliteFile(tempfile::tempdir().unwrap());
    std::fs::write(file.path(), "").unwrap();
    let said = postfixadmin.upgrade(&file.settings());
    assert!(said.contains("updating to version"), "{said}");
    let url = format!("sqlite:{}", file.path().display());
    let sql = open(&url).await;
    fill(Admin::new(&sql)).await;
    expect_native(&sql).await;
    expect_exact_names(&sql).await;
    expect_admin_rules(Admin::new(&sql)).await;
    expect_usage(&sql).await;
    drop(sql);
    expect_read_only(&format!("{url}?mode=ro")).await;
}

#[tokio::test]
async fn sqlite_that_we_made_is_postfixadmins_schema() {
    let file = SqliteFile(tempfile::tempdir().unwrap());
    let sql = open(&format!("sqlite:{}", file.path().display())).await;
    fill(Admin::new(&sql)).await;
    expect_native(&sql).await;
    expect_usage(&sql).await;
    drop(sql);
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    let said = postfixadmin.upgrade(&file.settings());
    assert!(!said.contains("updating to version"), "{said}");
}

/// The maps and dovecot-sql.conf of a tutorial that many servers were set up with.
fn tutorial() -> Queries {
    let text = |query: &str| query.to_owned();
    Queries {
        relay_domains: vec![text(
            "SELECT domain FROM domain WHERE domain='%s' and backupmx = '1' and active = '1'",
        )],
        virtual_mailbox_domains: vec![text(
            "SELECT domain FROM domain WHERE domain='%s' and backupmx = '0' and active = '1'",
        )],
        virtual_alias_maps: vec![
            text("SELECT goto FROM alias WHERE address='%s' and active = '1'"),
            text(
                "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and alias.address = CONCAT('%u', '@', alias_domain.target_domain) AND alias.active = 1 AND alias_domain.active='1'",
            ),
            text(
                "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = '%d' and alias.address = CONCAT('@', alias_domain.target_domain) AND  alias.active = 1 AND alias_domain.active='1'",
            ),
        ],
        virtual_mailbox_maps: vec![
            text("SELECT maildir FROM mailbox WHERE username='%s' and active = '1'"),
            text(
                "SELECT maildir FROM mailbox,alias_domain WHERE alias_domain.alias_domain = '%d' and mailbox.username = CONCAT('%u', '@', alias_domain.target_domain) AND mailbox.active = 1 AND alias_domain.active='1'",
            ),
        ],
        user_query: Some(text(
            "SELECT '/home/virtual/%d/%n' AS home, 'sdbox:/home/virtual/%d/%n' AS mail, concat('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%u' AND active = '1'",
        )),
        password_query: Some(text(
            "SELECT username as user, password FROM mailbox WHERE username = '%u' AND active = '1'",
        )),
        iterate_query: Some(text("SELECT username FROM mailbox WHERE active = '1'")),
        ..Queries::default()
    }
}

// Statements of the tests block their thread, and may wait for a lock of a transaction that is rolled
// back in the background: on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tutorials_queries_work_verbatim_on_mariadb() {
    let Some(mut database) = require(MariaDb::start()) else {
        return;
    };
    let Some(postfixadmin) = require(PostfixAdmin::unpack()) else {
        return;
    };
    postfixadmin.upgrade(&database.postfixadmin_settings());
    fill(Admin::new(&open(&database.url("postfix")).await)).await;
    let sql = Sql::open(SqlOptions {
        queries: tutorial(),
        // Not what the queries give: the test would not notice.
        home: HomeTemplate::parse("/elsewhere/%u").unwrap(),
        // It is waited for once while the database is down.
        timeout: Duration::from_secs(8),
        ..options(&database.url("reader"))
    })
    .await
    .unwrap();
    sql.check().await.unwrap();
    expect_lookups(&sql).await;
    expect_exact_names(&sql).await;
    // Alias domains, by the maps themselves: aliases and mailboxes under the other name.
    assert_eq!(
        goto(&sql, "info@alias.example").await,
        ["bob@example.org", "alice@example.org"]
    );
    assert_eq!(goto(&sql, "bob@alias.example").await, ["bob@example.org"]);
    assert!(account(&sql, "bob@alias.example").await.is_none());
    assert_eq!(sql.accounts().await.unwrap().len(), 4);
    expect_recovery(&sql, &mut database).await;
}

/// A database that went away is unavailable, and nobody is unknown; it comes back by itself.
async fn expect_recovery(sql: &Sql, database: &mut MariaDb) {
    database.stop();
    let (bob, nobody) = (address("bob@example.org"), address("nobody@example.org"));
    let (account_of_bob, alias_of_nobody, its_domain) = tokio::join!(
        sql.account(&bob),
        sql.alias(&nobody),
        sql.domain(nobody.domain()),
    );
    assert!(account_of_bob.is_err() && alias_of_nobody.is_err() && its_domain.is_err());
    database.resume();
    assert!(account(sql, "bob@example.org").await.is_some());
    assert!(account(sql, "nobody@example.org").await.is_none());
}

#[tokio::test]
async fn database_that_was_never_there_is_unavailable() {
    let url = "postgres://reader@localhost/postfix?host=/nonexistent";
    let sql = Sql::open(SqlOptions {
        timeout: Duration::from_secs(1),
        ..options(url)
    })
    .await
    .unwrap();
    assert!(sql.account(&address("bob@example.org")).await.is_err());
    // Which database it is that does not answer.
    let error = sql.check().await.unwrap_err().to_string();
    assert!(error.contains("/nonexistent"), "{error}");
}
