use std::path::Path;

use super::*;

/// The file of a tutorial's "virtual mailboxes" chapter, and lines people get wrong.
const FILE: &str = "\
# comment

bob@mondomaine.com:{PLAIN}password:5000:5000::/var/mail/vmail/mondomaine.com/bob/
alice@mondomaine.com:{PLAIN}password:5000:5000::/var/mail/vmail/mondomaine.com/alice/
Carol@Autre.com:{SHA256-CRYPT}$5$x$y:::::: userdb_quota_rule=*:storage=1G:messages=10 userdb_mail=sdbox:/srv/carol
dave@autre.com:secret::::::nologin
noproblem:x
bob@mondomaine.com:{PLAIN}second
bad quota@autre.com:x
x@bad..domain:x
erin@autre.com:x::::::userdb_quota_rule=lots
frank@autre.com:x::::::allow_nets=192.0.2.0/24
grace@autre.com:x::::../../etc
last@autre.com";

fn open(text: &str, default_domain: Option<&str>) -> (PasswdFile, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(&path, text).unwrap();
    let options = PasswdFileOptions {
        path,
        domains: vec![Domain::parse("extra.example").unwrap()],
        default_domain: default_domain.map(|domain| Domain::parse(domain).unwrap()),
        home: HomeTemplate::parse("/srv/%d/%n").unwrap(),
        quota: crate::QuotaDefaults::default(),
    };
    (PasswdFile::open(options).unwrap(), folder)
}

async fn account(file: &PasswdFile, address: &str) -> Option<Arc<AccountRecord>> {
    let address = Address::parse(address).unwrap();
    file.account(&address).await.unwrap()
}

#[tokio::test]
async fn accounts_and_domains_are_those_of_the_file() {
    let (file, _folder) = open(FILE, None);
    let bob = account(&file, "Bob@mondomaine.com").await.unwrap();
    assert_eq!(bob.password.as_deref(), Some("{PLAIN}password"));
    assert_eq!(bob.home, Path::new("/var/mail/vmail/mondomaine.com/bob/"));
    assert_eq!(bob.quota, crate::QuotaLimits::default());
    let carol = account(&file, "carol@autre.com").await.unwrap();
    assert_eq!(carol.home, Path::new("/srv/carol"));
    assert_eq!(carol.quota.bytes, Some(1 << 30));
    assert_eq!(carol.quota.messages, Some(10));
    let dave = account(&file, "dave@autre.com").await.unwrap();
    assert_eq!(dave.password, None);
    assert_eq!(dave.home, Path::new("/srv/autre.com/dave"));
    for (domain, known) in [
        ("mondomaine.com", true),
        ("autre.com", true),
        ("extra.example", true),
        ("other.example", false),
    ] {
        let domain = Domain::parse(domain).unwrap();
        assert_eq!(file.domain(&domain).await.unwrap().is_some(), known);
    }
    assert!(account(&file, "nobody@autre.com").await.is_none());
}

#[test]
fn unreadable_lines_are_named_and_left_out() {
    let (file, _folder) = open(FILE, None);
    let lines: Vec<usize> = file.errors().iter().map(|error| error.line).collect();
    assert_eq!(lines, [7, 8, 10, 11, 12, 13], "{:?}", file.errors());
    let errors = file.errors();
    assert_eq!(errors[0].message, "\"noproblem\" has no domain");
}

#[tokio::test]
async fn user_without_domain_is_in_the_default_one() {
    let (file, _folder) = open("bob:x\n", Some("example.org"));
    assert!(account(&file, "bob@example.org").await.is_some());
    assert_eq!(file.errors(), []);
}

#[tokio::test]
async fn changed_file_is_read_again() {
    let (file, folder) = open("bob@example.org:x\n", None);
    let path = folder.path().join("users");
    fs::write(&path, "alice@example.org:y\n").unwrap();
    assert!(account(&file, "alice@example.org").await.is_some());
    assert!(account(&file, "bob@example.org").await.is_none());
    let new = folder.path().join("users.new");
    fs::write(&new, "carol@example.org:x\n").unwrap();
    fs::rename(&new, &path).unwrap();
    assert!(account(&file, "carol@example.org").await.is_some());
}

#[tokio::test]
async fn missing_file_is_unavailable_and_not_an_unknown_user() {
    let (file, folder) = open("bob@example.org:x\n", None);
    fs::remove_file(folder.path().join("users")).unwrap();
    let bob = Address::parse("bob@example.org").unwrap();
    assert!(file.account(&bob).await.is_err());
    assert!(file.domain(bob.domain()).await.is_err());
}
