//! A SASL exchange ends within a few steps whatever the client sends.
#![no_main]
use facteur_sasl::{Exchange, Mechanism, Step};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let initial = lines.next().filter(|line| !line.is_empty());
    for mechanism in Mechanism::ALL {
        let Ok((mut exchange, mut step)) = Exchange::begin(mechanism, initial) else {
            continue;
        };
        let mut steps = 0;
        for line in lines.clone() {
            if matches!(step, Step::Done(_)) {
                break;
            }
            steps += 1;
            assert!(steps <= 3, "exchange does not end");
            match exchange.respond(line) {
                Ok(next) => step = next,
                Err(_) => break,
            }
        }
    }
});
