//! Who gets a vacation reply, and how often (RFC 5230 §4.2, §4.5, §4.6). sieve-rs checks the
//! script's side of it (addresses, lists by their `List-*` fields, `Auto-Submitted`); what it leaves
//! out is here.

use mail_parser::{Header, Message};

use crate::options::SieveOptions;

/// What sieve-rs puts before the key of a vacation reply in its duplicate question.
pub(super) const KEY: &str = "_v";

/// Local parts that no person answers (RFC 5230 §4.6, RFC 2142, RFC 3834 §2).
const ROBOTS: &[&str] = &["mailer-daemon", "listserv", "majordomo"];

/// Whether `sender` may get a reply to `message`.
pub(super) fn may_reply(sender: &str, message: &Message<'_>) -> bool {
    let local = sender.rsplit_once('@').map_or(sender, |(local, _)| local);
    let local = local.to_ascii_lowercase();
    let robot = ROBOTS.contains(&local.as_str())
        || local.starts_with("owner-")
        || local.ends_with("-owner")
        || local.ends_with("-request")
        || local.ends_with("-bounces");
    let bulk = |header: &Header<'_>| {
        let value = header.value().as_text().unwrap_or_default().trim();
        header.name().eq_ignore_ascii_case("Precedence")
            && ["bulk", "list", "junk"]
                .iter()
                .any(|p| value.eq_ignore_ascii_case(p))
    };
    !local.is_empty()
        && !robot
        && !is_auto_submitted(message)
        && !message.headers().iter().any(bulk)
}

/// Whether `message` was sent by a program (RFC 3834 §5). sieve-rs 0.7 misses the field, for which
/// its mail-parser has a name of its own.
pub(super) fn is_auto_submitted(message: &Message<'_>) -> bool {
    message.headers().iter().any(|header| {
        let value = header.value().as_text().unwrap_or_default().trim();
        let keyword = value.split([';', ' ', '(']).next().unwrap_or_default();
        header.name().eq_ignore_ascii_case("Auto-Submitted") && !keyword.eq_ignore_ascii_case("no")
    })
}

/// The time until the same sender may get another reply, in seconds.
pub(super) fn period(asked: u64, options: &SieveOptions) -> u64 {
    let longest = match options.vacation_max_period {
        0 => u64::MAX,
        longest => longest,
    };
    asked.clamp(options.vacation_min_period.min(longest), longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MessageParser;

    #[test]
    fn robots_lists_and_bulk_get_no_reply() {
        let plain = MessageParser::new().parse("Subject: x\r\n\r\n").unwrap();
        assert!(may_reply("ann@example.org", &plain));
        for robot in [
            "MAILER-DAEMON@a",
            "owner-x@a",
            "x-request@a",
            "x-bounces@a",
            "",
        ] {
            assert!(!may_reply(robot, &plain), "{robot}");
        }
        for field in [
            "Precedence: LIST",
            "Precedence: junk",
            "Auto-Submitted: auto-replied",
        ] {
            let text = format!("{field}\r\n\r\n");
            let message = MessageParser::new().parse(&text).unwrap();
            assert!(!may_reply("ann@example.org", &message), "{field}");
        }
        let no = MessageParser::new()
            .parse("Auto-Submitted: no; x=y\r\n\r\n")
            .unwrap();
        assert!(may_reply("ann@example.org", &no));
    }

    #[test]
    fn period_is_kept_within_the_limits() {
        let mut options = SieveOptions::default();
        assert_eq!(period(0, &options), 86_400);
        assert_eq!(period(864_000, &options), 864_000);
        options.vacation_max_period = 172_800;
        assert_eq!(period(864_000, &options), 172_800);
    }
}
