//! Spans of time.

use std::{fmt, time::Duration};

use toml::de::DeValue;
use toml_edit::Value;

use super::{Setting, bad, integer, wrong_type};

/// A span of time: `"30s"`, `"5m"`, `"1h"`, `"5d"`, `"2w"`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

const PERIOD_UNITS: &[(&str, u64)] = &[
    ("w", 7 * 24 * 3600),
    ("d", 24 * 3600),
    ("h", 3600),
    ("m", 60),
    ("s", 1),
];

impl Period {
    /// Seconds.
    pub const fn seconds(count: u64) -> Self {
        Self(Duration::from_secs(count))
    }
    /// Minutes.
    pub const fn minutes(count: u64) -> Self {
        Self::seconds(count * 60)
    }
    /// Hours.
    pub const fn hours(count: u64) -> Self {
        Self::minutes(count * 60)
    }
    /// Days.
    pub const fn days(count: u64) -> Self {
        Self::hours(count * 24)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        for (suffix, unit) in PERIOD_UNITS {
            if seconds > 0 && seconds.is_multiple_of(*unit) {
                return write!(f, "{}{suffix}", seconds / unit);
            }
        }
        write!(f, "{seconds}s")
    }
}

impl Setting for Period {
    fn expected() -> String {
        "a time such as \"30s\", \"5m\", \"1h\" or \"5d\"".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let DeValue::String(text) = value else {
            return integer(value)
                .and_then(|value| u64::try_from(value).ok())
                .map(Self::seconds)
                .ok_or_else(|| wrong_type::<Self>(value));
        };
        PERIOD_UNITS
            .iter()
            .find_map(|(suffix, unit)| {
                text.trim()
                    .strip_suffix(suffix)
                    .map(|digits| (digits, *unit))
            })
            .and_then(|(digits, unit)| digits.trim().parse::<u64>().ok()?.checked_mul(unit))
            .map(Self::seconds)
            .ok_or_else(|| bad::<Self>(text))
    }
    fn to_toml(&self) -> Option<Value> {
        Some(self.to_string().into())
    }
}
