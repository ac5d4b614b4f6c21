//! Half a minute of everything at once: no error reply, and every message accounted for. The tool for
//! longer runs, which watches memory too, is `tests/bench/soak`.

use std::time::Duration;

use facteur_tests::{Setup, soak};

#[test]
fn everything_at_once_answers_no_error_and_every_message_is_accounted_for() {
    let seconds = Duration::from_secs;
    let soaked = soak(Setup::new(), 1, seconds(30), seconds(5));
    println!("{:?}", soaked.done);
    for (what, count) in &soaked.done {
        assert!(*count > 0, "nothing was done of: {what}");
    }
    assert!(soaked.messages > 0);
}
