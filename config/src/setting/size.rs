//! Numbers of bytes.

use std::fmt;

use toml::de::DeValue;
use toml_edit::Value;

use super::{Setting, bad, integer, wrong_type};

/// A number of bytes: `52428800`, or `"50M"` in units of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];

impl Size {
    /// Mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// Kibibytes.
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, unit) in SIZE_UNITS {
            if self.0 > 0 && self.0.is_multiple_of(*unit) {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Setting for Size {
    fn expected() -> String {
        "a number of bytes, or a size such as \"50M\"".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let DeValue::String(text) = value else {
            return integer(value)
                .and_then(|value| u64::try_from(value).ok())
                .map(Self)
                .ok_or_else(|| wrong_type::<Self>(value));
        };
        let upper = text.trim().to_ascii_uppercase();
        let upper = upper
            .strip_suffix("IB")
            .or(upper.strip_suffix('B'))
            .unwrap_or(&upper);
        let (digits, unit) = SIZE_UNITS
            .iter()
            .find_map(|(suffix, unit)| upper.strip_suffix(suffix).map(|digits| (digits, *unit)))
            .unwrap_or((upper, 1));
        digits
            .trim()
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| bad::<Self>(text))
    }
    fn to_toml(&self) -> Option<Value> {
        match i64::try_from(self.0) {
            Ok(bytes) if self.to_string() == bytes.to_string() => Some(bytes.into()),
            _ => Some(self.to_string().into()),
        }
    }
}
