//! Marks on the way to a limit: Dovecot's `storage=95%%`, `-storage=100%%`, `messages=90%%`.

use crate::{
    QuotaLimits, QuotaRuleError, Usage,
    quota_rule::{Extra, Thing, amount, limit_of},
};

/// A mark that an account's usage crosses when it grows, or when it shrinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaThreshold {
    below: bool,
    bytes: Option<Extra>,
    messages: Option<Extra>,
}

/// A mark that was crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// How much of the limit the mark is.
    pub percent: u64,
    /// Whether it is a mark in bytes; else in messages.
    pub of_bytes: bool,
}

impl QuotaThreshold {
    /// Reads one: `+` or nothing for growing over it, `-` for falling below.
    ///
    /// # Errors
    /// When it names no limit, or no amount above 0.
    pub fn parse(text: &str) -> Result<Self, QuotaRuleError> {
        let text = text.trim();
        let (below, limits) = match text.strip_prefix('-') {
            Some(limits) => (true, limits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let mut threshold = Self {
            below,
            bytes: None,
            messages: None,
        };
        for limit in limits.split(':') {
            let (thing, value) = limit_of(limit)?;
            let at = amount(value, thing)?;
            if let Extra::Count(..=0) | Extra::PerCent(..=0) = at {
                return Err(QuotaRuleError::Value(value.to_owned()));
            }
            match thing {
                Thing::Messages => threshold.messages = Some(at),
                _ => threshold.bytes = Some(at),
            }
        }
        Ok(threshold)
    }

    /// Whether going from `before` to `now` crosses it. A part of no limit is never reached.
    pub fn crossed(&self, limits: &QuotaLimits, before: Usage, now: Usage) -> Option<Crossing> {
        let crossed = |at: Option<Extra>, limit: Option<u64>, before: u64, now: u64| {
            let at = at?;
            let mark = match at {
                Extra::Count(count) => u128::try_from(count).ok()?,
                Extra::PerCent(part) => u128::from(limit?) * u128::try_from(part).ok()? / 100,
            };
            let (low, high) = if self.below {
                (now, before)
            } else {
                (before, now)
            };
            if u128::from(low) >= mark || u128::from(high) < mark {
                return None;
            }
            Some(match (at, limit) {
                (Extra::PerCent(part), _) => u64::try_from(part).unwrap_or_default(),
                (_, Some(limit)) if limit > 0 => {
                    u64::try_from(mark * 100 / u128::from(limit)).unwrap_or(u64::MAX)
                }
                _ => 100,
            })
        };
        let of = |of_bytes| move |percent| Crossing { percent, of_bytes };
        let bytes = crossed(self.bytes, limits.bytes, before.bytes, now.bytes);
        let messages = || {
            crossed(
                self.messages,
                limits.messages,
                before.messages,
                now.messages,
            )
        };
        bytes.map(of(true)).or_else(|| messages().map(of(false)))
    }

    /// Whether it is crossed by shrinking.
    pub fn is_below(&self) -> bool {
        self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crossed(mark: &str, before: u64, now: u64) -> Option<u64> {
        let limits = QuotaLimits {
            bytes: Some(1000),
            messages: Some(10),
            ..QuotaLimits::default()
        };
        let usage = |bytes| Usage {
            bytes,
            messages: bytes / 100,
        };
        let mark = QuotaThreshold::parse(mark).unwrap();
        Some(mark.crossed(&limits, usage(before), usage(now))?.percent)
    }

    #[test]
    fn mark_is_crossed_once_on_the_way_up() {
        for (before, now, expected) in [
            (0, 949, None),
            (0, 950, Some(95)),
            (949, 2000, Some(95)),
            (950, 951, None),
            (2000, 0, None),
            (950, 950, None),
        ] {
            assert_eq!(
                crossed("storage=95%%", before, now),
                expected,
                "{before} {now}"
            );
        }
        assert_eq!(crossed("bytes=500B", 0, 500), Some(50));
        assert_eq!(crossed("messages=90%", 800, 900), Some(90));
        assert_eq!(crossed("storage=99%:messages=90%", 800, 900), Some(90));
    }

    #[test]
    fn mark_below_is_crossed_once_on_the_way_down() {
        for (before, now, expected) in [
            (1000, 999, Some(100)),
            (5000, 0, Some(100)),
            (999, 0, None),
            (1001, 1000, None),
            (0, 5000, None),
        ] {
            assert_eq!(
                crossed("-storage=100%%", before, now),
                expected,
                "{before} {now}"
            );
        }
    }

    #[test]
    fn part_of_no_limit_is_never_reached() {
        let usage = |bytes| Usage { bytes, messages: 0 };
        let mark = QuotaThreshold::parse("storage=1%").unwrap();
        let none = QuotaLimits::default();
        assert_eq!(mark.crossed(&none, usage(0), usage(1 << 50)), None);
    }

    #[test]
    fn unreadable_marks_are_refused() {
        for text in [
            "",
            "95%",
            "storage",
            "storage=0",
            "storage=-5%",
            "size=5",
            "ignore",
        ] {
            assert!(QuotaThreshold::parse(text).is_err(), "{text}");
        }
    }
}
