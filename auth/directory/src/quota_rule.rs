//! Dovecot's quota_rule: `*:bytes=1000`, `*:storage=1G:messages=5000`.

use crate::QuotaLimits;

/// Reads a rule; `None` when it is none for the whole account.
pub(crate) fn parse(rule: &str) -> Option<QuotaLimits> {
    let (mailbox, limits) = rule.trim().split_once(':')?;
    if mailbox != "*" {
        return None;
    }
    let mut quota = QuotaLimits::default();
    for limit in limits.split(':') {
        let (name, value) = limit.split_once('=')?;
        // Dovecot takes a negative or zero limit as none.
        match name.trim() {
            "bytes" => quota.bytes = number(value, 1)?,
            "storage" => quota.bytes = number(value, 1024)?,
            "messages" => quota.messages = number(value, 1)?,
            _ => return None,
        }
    }
    Some(quota)
}

/// `10M`; a number without a letter counts in `unit`.
fn number(text: &str, unit: u64) -> Option<Option<u64>> {
    let text = text.trim();
    if text.starts_with('-') {
        return Some(None);
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, letter) = text.split_at(end);
    let unit = match letter.to_ascii_lowercase().as_str() {
        "" => unit,
        "b" => 1,
        "k" => 1 << 10,
        "m" => 1 << 20,
        "g" => 1 << 30,
        "t" => 1 << 40,
        _ => return None,
    };
    let value = digits.parse::<u64>().ok()?.saturating_mul(unit);
    Some(Some(value).filter(|value| *value > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: Option<u64>, messages: Option<u64>) -> Option<QuotaLimits> {
        Some(QuotaLimits { bytes, messages })
    }

    #[test]
    fn rules_are_read_in_their_units() {
        assert_eq!(parse("*:bytes=1000"), limits(Some(1000), None));
        assert_eq!(parse("*:storage=1M"), limits(Some(1 << 20), None));
        assert_eq!(parse("*:storage=10"), limits(Some(10 << 10), None));
        assert_eq!(
            parse("*:bytes=1G:messages=5"),
            limits(Some(1 << 30), Some(5))
        );
        assert_eq!(parse("*:bytes=0"), limits(None, None));
        assert_eq!(parse("*:bytes=-1"), limits(None, None));
    }

    #[test]
    fn unreadable_rules_are_none() {
        for rule in [
            "",
            "*",
            "*:bytes",
            "*:bytes=x",
            "Trash:storage=+1M",
            "*:bytes=1X",
        ] {
            assert_eq!(parse(rule), None, "{rule}");
        }
    }
}
