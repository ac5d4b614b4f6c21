use super::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn fail(throttle: &Throttle, trier: Trier, times: u32, now: Instant) {
    for _ in 0..times {
        throttle.failed(trier, now);
    }
}

#[tokio::test(start_paused = true)]
async fn address_that_fails_waits_ever_longer() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let bob = throttle.trier(ip("192.0.2.1"), "bob@example.org");
    fail(&throttle, bob, FREE_BY_ADDRESS, now);
    assert_eq!(throttle.turn(bob, now), Turn::Now, "people mistype");
    let mut waits = Vec::new();
    let mut then = now;
    for _ in 0..6 {
        throttle.failed(bob, then);
        let Turn::At(turn) = throttle.turn(bob, then) else {
            unreachable!("it waits")
        };
        waits.push((turn - then).as_secs());
        // The turn after the next is taken by now; go past it.
        then = turn + LONGEST;
    }
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
}

#[tokio::test(start_paused = true)]
async fn parallel_tries_of_a_failing_address_go_one_after_the_other() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let trier = throttle.trier(ip("192.0.2.1"), "bob");
    fail(&throttle, trier, FREE_BY_ADDRESS + 3, now);
    let turns: Vec<Turn> = (0..6).map(|_| throttle.turn(trier, now)).collect();
    let at = |seconds| Turn::At(now + Duration::from_secs(seconds));
    assert_eq!(
        turns,
        [at(4), at(8), at(12), Turn::Never, Turn::Never, Turn::Never]
    );
}

#[tokio::test(start_paused = true)]
async fn owner_at_another_address_is_not_held_back() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    for guesser in 1..=200 {
        let address = IpAddr::from([198, 51, 100, guesser]);
        fail(&throttle, throttle.trier(Some(address), "bob"), 20, now);
    }
    let owner = throttle.trier(ip("192.0.2.1"), "bob");
    assert_eq!(throttle.turn(owner, now), Turn::Now);
    assert!(!throttle.is_failing(owner, now));
}

#[tokio::test(start_paused = true)]
async fn many_guessers_at_one_account_share_its_turns() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let guesser = |n| throttle.trier(Some(IpAddr::from([198, 51, 100, n])), "bob");
    for n in 1..=40 {
        throttle.failed(guesser(n), now);
    }
    let turns: Vec<Turn> = (1..=40).map(|n| throttle.turn(guesser(n), now)).collect();
    let waiting = turns.iter().filter(|t| matches!(t, Turn::At(_))).count();
    let refused = turns.iter().filter(|t| **t == Turn::Never).count();
    assert_eq!((waiting, refused), (1, 39));
    let other = throttle.trier(ip("198.51.100.1"), "alice");
    assert_eq!(throttle.turn(other, now), Turn::Now, "another account");
}

#[tokio::test(start_paused = true)]
async fn shared_address_is_counted_by_account_only() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    fail(&throttle, throttle.trier(None, "bob"), 50, now);
    assert!(matches!(
        throttle.turn(throttle.trier(None, "bob"), now),
        Turn::At(_)
    ));
    assert_eq!(throttle.turn(throttle.trier(None, "alice"), now), Turn::Now);
}

#[tokio::test(start_paused = true)]
async fn right_password_takes_back_its_own_failures_only() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let bob = throttle.trier(ip("192.0.2.1"), "bob");
    fail(&throttle, bob, 9, now);
    assert!(throttle.is_failing(bob, now));
    throttle.succeeded(bob);
    assert!(!throttle.is_failing(bob, now));

    fail(&throttle, bob, 9, now);
    throttle.succeeded(throttle.trier(ip("192.0.2.1"), "mallory"));
    assert!(throttle.is_failing(bob, now), "not with another account");
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_in_time() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let bob = throttle.trier(ip("192.0.2.1"), "bob");
    fail(&throttle, bob, 100, now);
    assert!(throttle.is_failing(bob, now));
    assert_eq!(throttle.turn(bob, now + FORGOTTEN_AFTER), Turn::Now);
}

#[tokio::test(start_paused = true)]
async fn ipv6_neighbours_are_one_address() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    fail(&throttle, throttle.trier(ip("2001:db8::1"), "bob"), 9, now);
    let is_failing = |address| throttle.is_failing(throttle.trier(ip(address), "x"), now);
    assert!(is_failing("2001:db8::ffff:1"));
    assert!(!is_failing("2001:db8:0:1::1"));
}

#[tokio::test(start_paused = true)]
async fn flood_of_addresses_is_bounded_and_keeps_the_worst() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    let worst = throttle.trier(ip("192.0.2.1"), "bob");
    fail(&throttle, worst, 100, now);
    for n in 0..40_000_u32 {
        let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        throttle.failed(throttle.trier(Some(address), &n.to_string()), now);
    }
    let tables = throttle.tables.lock().unwrap();
    assert!(tables.addresses.len() <= CAPACITY && tables.accounts.len() <= CAPACITY);
    drop(tables);
    assert!(throttle.is_failing(worst, now));
}
