//! Sieve scripts.

use std::thread;

use facteur_model::{AccountId, AccountSpec};
use facteur_store::{AccountCache, Checkpoints, Options, Store, StoreError};

use crate::world::World;

#[test]
fn scripts_are_put_listed_activated_renamed_and_deleted() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    assert_eq!(account.scripts().unwrap(), []);
    assert_eq!(account.active_script().unwrap(), None);
    account.put_script("été", b"keep;").unwrap();
    account.put_script("b", b"stop;").unwrap();
    account.set_active_script(Some("été")).unwrap();
    let listed = |account: &facteur_store::Account| -> Vec<(String, bool)> {
        account
            .scripts()
            .unwrap()
            .into_iter()
            .map(|s| (s.name, s.active))
            .collect()
    };
    assert_eq!(
        listed(&account),
        [("b".into(), false), ("été".into(), true)]
    );
    let (name, text) = account.active_script().unwrap().unwrap();
    assert_eq!((name.as_str(), &*text), ("été", &b"keep;"[..]));
    account.put_script("été", b"discard;").unwrap();
    assert_eq!(&*account.active_script().unwrap().unwrap().1, b"discard;");
    assert!(matches!(
        account.delete_script("été"),
        Err(StoreError::Script(_))
    ));
    assert!(matches!(
        account.rename_script("été", "b"),
        Err(StoreError::Script(_))
    ));
    account.rename_script("été", "c").unwrap();
    assert_eq!(account.active_script().unwrap().unwrap().0, "c");
    assert_eq!(account.script("c").unwrap(), b"discard;");
    assert!(matches!(account.script("été"), Err(StoreError::NoScript)));
    account.set_active_script(None).unwrap();
    assert_eq!(account.active_script().unwrap(), None);
    account.delete_script("c").unwrap();
    assert!(matches!(
        account.delete_script("c"),
        Err(StoreError::NoScript)
    ));
    assert!(matches!(
        account.set_active_script(Some("c")),
        Err(StoreError::NoScript)
    ));
    assert_eq!(listed(&account), [("b".into(), false)]);
}

#[test]
fn script_names_that_would_leave_the_folder_are_refused() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\0b",
        "a\nb",
        &"x".repeat(300),
    ] {
        assert!(
            matches!(
                account.put_script(bad, b"keep;"),
                Err(StoreError::Cannot(_))
            ),
            "{bad:?}"
        );
        assert!(
            matches!(account.script(bad), Err(StoreError::Cannot(_))),
            "{bad:?}"
        );
    }
}

#[test]
fn a_script_put_in_place_of_the_link_is_active_and_kept() {
    let world = World::new();
    let store = world.open();
    let account = world.account(&store, "bob");
    std::fs::write(world.home("bob").join("dovecot.sieve"), "keep;").unwrap();
    assert_eq!(&*account.active_script().unwrap().unwrap().1, b"keep;");
    account.put_script("new", b"stop;").unwrap();
    account.set_active_script(Some("new")).unwrap();
    assert_eq!(account.script("dovecot.orig.1").unwrap(), b"keep;");
    assert_eq!(account.active_script().unwrap().unwrap().0, "new");
}

#[test]
fn an_active_script_counts_for_what_accounts_may_take_in_memory() {
    let world = World::new();
    let options = world.options();
    let store = Store::open(Options {
        cache: AccountCache {
            size: 64 << 10,
            ..AccountCache::default()
        },
        checkpoints: Checkpoints {
            background: true,
            ..options.checkpoints
        },
        ..options
    })
    .unwrap();
    let text = [b"keep; #".as_slice(), &[b'x'; 100 << 10]].concat();
    let account = world.account(&store, "bob");
    account.put_script("large", &text).unwrap();
    account.set_active_script(Some("large")).unwrap();
    drop(account);
    // A home is one account's while that is in memory: another one has it once that is unloaded.
    let other = AccountSpec {
        id: AccountId::new("other@example.test"),
        ..world.spec("bob")
    };
    let refused = store.account(&other);
    assert!(matches!(refused, Err(StoreError::Cannot(_))), "{refused:?}");
    let account = world.account(&store, "bob");
    assert_eq!(&*account.active_script().unwrap().unwrap().1, text);
    drop(account);
    while store.account(&other).is_err() {
        thread::yield_now();
    }
}
