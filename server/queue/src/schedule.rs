//! When an entry is tried again, and when no more.

use facteur_spool::Entry;

use crate::Options;

/// When a message that was delayed is tried next: as long from now as it has waited, within the
/// bounds. So the times between attempts double.
pub(crate) fn next_attempt(entry: &Entry, options: &Options, now: i64) -> i64 {
    let age = now.saturating_sub(entry.accepted_at);
    let shortest = options.minimal_backoff_time.max(1);
    let backoff = age.clamp(shortest, options.maximal_backoff_time.max(shortest));
    // Not after the end: the last attempt is the one that gives up.
    now.saturating_add(backoff)
        .min(gives_up_at(entry, options).max(now + 1))
}

/// When the message goes back to its sender.
pub(crate) fn gives_up_at(entry: &Entry, options: &Options) -> i64 {
    let lifetime = if entry.reverse_path.is_empty() {
        options.bounce_queue_lifetime
    } else {
        options.maximal_queue_lifetime
    };
    entry.accepted_at.saturating_add(lifetime)
}

/// Whether the sender is now to be told that it is late.
pub(crate) fn warning_is_due(entry: &Entry, options: &Options, now: i64) -> bool {
    options.delay_warning_time > 0
        && !entry.delay_warned
        && !entry.reverse_path.is_empty()
        && now.saturating_sub(entry.accepted_at) >= options.delay_warning_time
}

#[cfg(test)]
mod tests {
    use facteur_address::Domain;
    use facteur_spool::{BodyType, Origin, QueueId};

    use super::*;

    fn entry(reverse_path: &str) -> Entry {
        Entry {
            queue_id: QueueId::parse("0123456789A").unwrap(),
            reverse_path: reverse_path.into(),
            accepted_at: 0,
            origin: Origin::default(),
            body_type: BodyType::SevenBit,
            size: 0,
            prefix: String::new(),
            recipients: Vec::new(),
            next_attempt_at: 0,
            attempts: 0,
            held: false,
            delay_warned: false,
        }
    }

    #[test]
    fn backoff_doubles_from_the_shortest_to_the_longest_until_it_gives_up() {
        let options = Options::new(Domain::parse("mail.example.com").unwrap());
        let entry = entry("a@example.org");
        let (mut now, mut times) = (0, Vec::new());
        while now < gives_up_at(&entry, &options) {
            now = next_attempt(&entry, &options, now);
            times.push(now);
        }
        assert_eq!(times[..6], [300, 600, 1200, 2400, 4800, 8800]);
        assert_eq!(times.last(), Some(&(5 * 86_400)));
    }

    #[test]
    fn warning_is_due_once_and_never_for_a_notice() {
        let mut options = Options::new(Domain::parse("mail.example.com").unwrap());
        assert!(!warning_is_due(
            &entry("a@example.org"),
            &options,
            1_000_000
        ));
        options.delay_warning_time = 100;
        assert!(!warning_is_due(&entry("a@example.org"), &options, 99));
        assert!(warning_is_due(&entry("a@example.org"), &options, 100));
        assert!(!warning_is_due(&entry(""), &options, 100));
        let warned = Entry {
            delay_warned: true,
            ..entry("a@example.org")
        };
        assert!(!warning_is_due(&warned, &options, 100));
    }
}
