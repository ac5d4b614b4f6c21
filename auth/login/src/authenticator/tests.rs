use std::{
    collections::HashMap,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use facteur_directory::{Answer, DomainRecord, QuotaLimits};

use super::*;

/// A directory in memory.
#[derive(Default)]
struct Book {
    accounts: Mutex<HashMap<String, Option<String>>>,
    aliases: HashMap<&'static str, &'static str>,
    alias_domains: HashMap<&'static str, &'static str>,
    senders: Option<HashMap<&'static str, &'static str>>,
    down: AtomicBool,
}

impl Book {
    fn with(accounts: &[(&str, &str)]) -> Self {
        let accounts = accounts
            .iter()
            .map(|(name, password)| ((*name).to_owned(), Some((*password).to_owned())));
        Self {
            accounts: Mutex::new(accounts.collect()),
            ..Self::default()
        }
    }

    fn answer<'a, T: Send + 'a>(&self, value: T) -> Answer<'a, T> {
        let down = self.down.load(Ordering::SeqCst);
        Box::pin(async move {
            if down {
                Err(Unavailable("down".to_owned()))
            } else {
                Ok(value)
            }
        })
    }

    fn destinations(&self, key: &str) -> Option<Vec<String>> {
        let goto = self.aliases.get(key)?;
        Some(goto.split(',').map(str::to_owned).collect())
    }
}

impl Directory for Book {
    fn domain<'a>(&'a self, _: &'a Domain) -> Answer<'a, Option<DomainRecord>> {
        self.answer(None)
    }
    fn alias_domain<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Domain>> {
        let target = self.alias_domains.get(domain.as_str());
        self.answer(target.map(|target| Domain::parse(target).unwrap()))
    }
    fn account<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Arc<AccountRecord>>> {
        let accounts = self.accounts.lock().unwrap();
        let password = accounts.get(&address.to_string());
        self.answer(password.map(|password| {
            Arc::new(AccountRecord {
                address: address.clone(),
                password: password.clone(),
                home: PathBuf::from("/srv/mail"),
                format: facteur_directory::MailFormat::Sdbox,
                quota: QuotaLimits::default(),
            })
        }))
    }
    fn alias<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        self.answer(self.destinations(&address.to_string()))
    }
    fn catch_all<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Option<Vec<String>>> {
        self.answer(self.destinations(&format!("@{domain}")))
    }
    fn sender_login<'a>(&'a self, address: &'a Address) -> Answer<'a, Option<Vec<String>>> {
        let senders = self.senders.as_ref();
        let address = address.to_string();
        let logins = senders.map(|map| map.get(address.as_str()).into_iter());
        self.answer(logins.map(|logins| logins.map(|login| (*login).to_owned()).collect()))
    }
    fn accounts(&self) -> Answer<'_, Vec<Address>> {
        self.answer(Vec::new())
    }
    fn record_usage<'a>(&'a self, _: &'a Address, _: u64, _: u64) -> Answer<'a, ()> {
        self.answer(())
    }
    fn forget(&self) {}
}

const BOB: &str = "bob@example.org";

fn attempt(user: &str, password: &str, peer: &str) -> Attempt {
    Attempt {
        authentication_identity: user.to_owned(),
        authorization_identity: String::new(),
        password: Secret::new(password.as_bytes().to_vec()),
        peer: Some(peer.parse::<IpAddr>().unwrap()),
        service: "test",
    }
}

fn authenticator(book: Book) -> (Authenticator, Arc<Book>) {
    let book = Arc::new(book);
    (Authenticator::new(book.clone(), Options::default()), book)
}

async fn login(authenticator: &Authenticator, attempt: Attempt) -> Result<String, LoginError> {
    let record = authenticator.login(attempt).await?;
    Ok(record.address.to_string())
}

#[tokio::test(start_paused = true)]
async fn right_password_logs_in_and_name_is_folded() {
    let (auth, _) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    let peer = "192.0.2.1";
    for name in [BOB, "BOB@Example.ORG", " bob@example.org "] {
        assert_eq!(
            login(&auth, attempt(name, "secret", peer)).await,
            Ok(BOB.to_owned())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_user_wrong_password_and_no_password_fail_alike() {
    let book = Book::with(&[(BOB, "{PLAIN}secret"), ("broken@example.org", "{WHAT}x")]);
    let nopassword = "nopassword@example.org".to_owned();
    book.accounts.lock().unwrap().insert(nopassword, None);
    let (auth, _) = authenticator(book);
    let names = [
        (BOB, "wrong"),
        ("nobody@example.org", "secret"),
        ("nopassword@example.org", ""),
        ("broken@example.org", "x"),
        ("bob", "secret"),
        ("", ""),
        ("@", "x"),
    ];
    for (n, (name, password)) in names.into_iter().enumerate() {
        let before = Instant::now();
        let peer = format!("192.0.2.{n}");
        assert_eq!(
            login(&auth, attempt(name, password, &peer)).await,
            Err(LoginError::Failed),
            "{name}"
        );
        let delay = Options::default().auth_failure_delay;
        assert_eq!(before.elapsed(), delay, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn login_without_domain_takes_the_default_realm() {
    let options = Options {
        auth_default_realm: Some(Domain::parse("example.org").unwrap()),
        ..Options::default()
    };
    let book = Arc::new(Book::with(&[(BOB, "{PLAIN}secret")]));
    let auth = Authenticator::new(book, options);
    assert_eq!(
        login(&auth, attempt("bob", "secret", "192.0.2.1")).await,
        Ok(BOB.to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn directory_that_is_down_is_unavailable_and_counts_nothing() {
    let (auth, book) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    book.down.store(true, Ordering::SeqCst);
    for _ in 0..50 {
        assert_eq!(
            login(&auth, attempt(BOB, "secret", "192.0.2.1")).await,
            Err(LoginError::Unavailable)
        );
    }
    book.down.store(false, Ordering::SeqCst);
    let before = Instant::now();
    assert!(
        login(&auth, attempt(BOB, "secret", "192.0.2.1"))
            .await
            .is_ok()
    );
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn acting_for_somebody_else_is_refused() {
    let (auth, _) = authenticator(Book::with(&[
        (BOB, "{PLAIN}secret"),
        ("alice@example.org", "{PLAIN}other"),
    ]));
    let act = |identity: &str| Attempt {
        authorization_identity: identity.to_owned(),
        ..attempt(BOB, "secret", "192.0.2.1")
    };
    for identity in ["", BOB, "Bob@EXAMPLE.org"] {
        assert!(login(&auth, act(identity)).await.is_ok(), "{identity}");
    }
    for identity in ["alice@example.org", "root", "*"] {
        assert_eq!(
            login(&auth, act(identity)).await,
            Err(LoginError::Failed),
            "{identity}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn changed_password_counts_at_once_and_the_old_one_no_more() {
    let (auth, book) = authenticator(Book::with(&[(BOB, "{PLAIN}old")]));
    assert!(login(&auth, attempt(BOB, "old", "192.0.2.1")).await.is_ok());
    book.accounts
        .lock()
        .unwrap()
        .insert(BOB.to_owned(), Some("{PLAIN}new".to_owned()));
    assert!(login(&auth, attempt(BOB, "new", "192.0.2.1")).await.is_ok());
    assert_eq!(
        login(&auth, attempt(BOB, "old", "192.0.2.1")).await,
        Err(LoginError::Failed)
    );
}

/// The stored hash costs bcrypt's 2^10: without memory, ten thousand logins would take minutes.
#[tokio::test(start_paused = true)]
async fn remembered_password_is_not_hashed_again() {
    let stored = "{BLF-CRYPT}$2y$10$YyuAl/KbiCAgBB03b3yxiuUtsFbeYClJABm9jKHX.4PaSwVnyyIRi";
    let (auth, _) = authenticator(Book::with(&[(BOB, stored)]));
    let attempt = || attempt(BOB, "Grüße, Welt!", "192.0.2.1");
    assert!(login(&auth, attempt()).await.is_ok());
    let remembered = auth.inner.remembered.as_ref().unwrap();
    let bob = Address::parse(BOB).unwrap();
    assert!(remembered.knows(&bob, stored, "Grüße, Welt!".as_bytes()));
    // All places taken: who needed to hash would wait for ever.
    let mut places = Vec::new();
    for _ in 0..Options::default().auth_worker_max_count {
        places.push(auth.inner.hashing.place().await);
    }
    for _ in 0..10_000 {
        assert!(login(&auth, attempt()).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn remembered_account_that_is_deactivated_is_refused() {
    let (auth, book) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    let attempt = || attempt(BOB, "secret", "192.0.2.1");
    assert!(login(&auth, attempt()).await.is_ok());
    let record = book.accounts.lock().unwrap().remove(BOB);
    assert_eq!(login(&auth, attempt()).await, Err(LoginError::Failed));
    // `nologin`, or a password that was emptied.
    book.accounts.lock().unwrap().insert(BOB.to_owned(), None);
    assert_eq!(login(&auth, attempt()).await, Err(LoginError::Failed));
    book.accounts
        .lock()
        .unwrap()
        .insert(BOB.to_owned(), record.unwrap());
    assert!(login(&auth, attempt()).await.is_ok());
}

/// Guesses went uncounted that wrote the account's name in another way each time.
#[tokio::test(start_paused = true)]
async fn names_of_one_account_share_its_failures() {
    let book = Arc::new(Book::with(&[(BOB, "{PLAIN}secret")]));
    let options = Options {
        auth_default_realm: Some(Domain::parse("example.org").unwrap()),
        ..Options::default()
    };
    let auth = Authenticator::new(book, options);
    let names = ["bob@example.org.", "bob", "BOB@EXAMPLE.ORG", " bob "];
    for n in 0..12 {
        let _ = login(&auth, attempt(names[n % 4], "guess", "127.0.0.1")).await;
    }
    let trier = auth.inner.throttle.trier(None, BOB);
    let turns = [(); 2].map(|()| auth.inner.throttle.turn(trier, Instant::now()));
    assert_ne!(turns, [Turn::Now; 2], "it has to take turns");
}

#[tokio::test(start_paused = true)]
async fn failures_are_remembered_over_a_reload() {
    let (auth, _) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    for _ in 0..10 {
        let _ = login(&auth, attempt(BOB, "guess", "198.51.100.7")).await;
    }
    let auth = auth.with_options(Options::default());
    let now = Instant::now();
    assert!(
        login(&auth, attempt(BOB, "secret", "198.51.100.7"))
            .await
            .is_ok()
    );
    assert!(now.elapsed() > Duration::ZERO, "the address waits still");
}

#[tokio::test(start_paused = true)]
async fn guesser_is_slowed_while_the_owner_gets_in() {
    let (auth, _) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    let before = Instant::now();
    for guess in 0..30 {
        let guess = format!("guess{guess}");
        let _ = login(&auth, attempt(BOB, &guess, "198.51.100.7")).await;
    }
    assert!(before.elapsed() > Duration::from_secs(300));
    let now = Instant::now();
    assert!(
        login(&auth, attempt(BOB, "secret", "192.0.2.1"))
            .await
            .is_ok()
    );
    assert_eq!(now.elapsed(), Duration::ZERO, "the owner does not wait");
    let now = Instant::now();
    assert!(
        login(&auth, attempt(BOB, "secret", "198.51.100.7"))
            .await
            .is_ok()
    );
    assert!(now.elapsed() > Duration::ZERO, "the guesser's address does");
}

#[tokio::test(start_paused = true)]
async fn parallel_guesses_get_no_further_than_those_in_a_row() {
    let options = Options {
        auth_worker_max_count: 2,
        ..Options::default()
    };
    let book = Arc::new(Book::with(&[(BOB, "{PLAIN}guess199")]));
    let auth = Authenticator::new(book, options);
    let mut tasks = tokio::task::JoinSet::new();
    for guess in 0..200 {
        let auth = auth.clone();
        let attempt = attempt(BOB, &format!("guess{guess}"), "198.51.100.7");
        tasks.spawn(async move { auth.login(attempt).await.is_ok() });
    }
    let successes = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(successes, 0, "the right guess was the last of two hundred");
}

#[tokio::test(start_paused = true)]
async fn hanging_up_during_the_delay_does_not_undo_the_failure() {
    let (auth, _) = authenticator(Book::with(&[(BOB, "{PLAIN}secret")]));
    for _ in 0..10 {
        let attempt = attempt(BOB, "wrong", "198.51.100.7");
        let _ = tokio::time::timeout(Duration::from_millis(1500), auth.login(attempt)).await;
    }
    let trier = auth
        .inner
        .throttle
        .trier(Some("198.51.100.7".parse().unwrap()), BOB);
    assert!(auth.inner.throttle.is_failing(trier, Instant::now()));
}

#[tokio::test]
async fn owned_addresses_are_those_that_lead_to_the_account() {
    let mut book = Book::with(&[(BOB, "x"), ("alice@example.org", "x")]);
    book.aliases = HashMap::from([
        (BOB, "bob@example.org,carol@example.net"),
        ("alice@example.org", "bob@example.org"),
        ("info@example.org", "sales@example.org,alice@example.org"),
        ("sales@example.org", "Bob@example.org"),
        ("loop@example.org", "loop2@example.org"),
        ("loop2@example.org", "loop@example.org"),
        ("@catch.example", "bob@example.org"),
        ("taken@catch.example", "alice@example.org"),
    ]);
    book.alias_domains = HashMap::from([("example.com", "example.org")]);
    let (auth, book) = authenticator(book);
    let bob = Address::parse(BOB).unwrap();
    let cases = [
        ("Bob@Example.org", true),
        ("bob+list@example.org", true),
        ("bob@example.com", true),
        ("bob+list@example.com", true),
        ("sales@example.org", true),
        ("info@example.org", true),
        ("info+x@example.com", true),
        ("anything@catch.example", true),
        ("taken@catch.example", false),
        ("alice@example.org", false),
        ("loop@example.org", false),
        ("bob@example.net", false),
        ("nobody@example.org", false),
    ];
    for (address, owned) in cases {
        let address = Address::parse(address).unwrap();
        assert_eq!(auth.owns(&bob, &address).await, Ok(owned), "{address}");
    }
    book.down.store(true, Ordering::SeqCst);
    let other = Address::parse("x@example.org").unwrap();
    assert_eq!(auth.owns(&bob, &other).await, Err(LoginError::Unavailable));
}

#[tokio::test]
async fn sender_login_maps_have_the_only_say() {
    let mut book = Book::with(&[(BOB, "x")]);
    book.senders = Some(HashMap::from([("news@example.org", BOB)]));
    let (auth, _) = authenticator(book);
    let bob = Address::parse(BOB).unwrap();
    let news = Address::parse("news@example.org").unwrap();
    assert_eq!(auth.owns(&bob, &news).await, Ok(true));
    assert_eq!(auth.owns(&bob, &bob).await, Ok(false));
    let detail = Address::parse("news+weekly@example.org").unwrap();
    assert_eq!(auth.owns(&bob, &detail).await, Ok(true));
}
