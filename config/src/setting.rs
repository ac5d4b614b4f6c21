//! The kinds of values a key can have, as they stand in the file.

use std::{fmt, path::PathBuf, time::Duration};

use ipnet::IpNet;
use toml::de::DeValue;
use toml_edit::{Array, Value};

/// A kind of value.
pub trait Setting: Sized {
    /// What would be right, for errors and the reference: "a whole number".
    fn expected() -> String;

    /// Reads it.
    ///
    /// # Errors
    /// What was wrong and what would be right.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;

    /// Writes it; `None` leaves the key out.
    fn to_toml(&self) -> Option<Value>;
}

/// "expected a whole number, found a string".
fn wrong_type<T: Setting>(found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("expected {}, found {found}", T::expected())
}

fn bad<T: Setting>(text: &str) -> String {
    format!("expected {}, found {text:?}", T::expected())
}

impl Setting for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Boolean(value) => Ok(*value),
            other => Err(wrong_type::<Self>(other)),
        }
    }
    fn to_toml(&self) -> Option<Value> {
        Some((*self).into())
    }
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    match value {
        DeValue::Integer(value) => i64::from_str_radix(value.as_str(), value.radix()).ok(),
        _ => None,
    }
}

macro_rules! whole_number {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn expected() -> String {
                "a whole number".to_owned()
            }
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                if !matches!(value, DeValue::Integer(_)) {
                    return Err(wrong_type::<Self>(value));
                }
                integer(value)
                    .and_then(|value| <$type>::try_from(value).ok())
                    .ok_or_else(|| "expected a whole number from 0 up, not that large".to_owned())
            }
            fn to_toml(&self) -> Option<Value> {
                i64::try_from(*self).ok().map(Value::from)
            }
        }
    )+};
}
whole_number!(u32, u64, usize);

impl Setting for String {
    fn expected() -> String {
        "a string".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Ok(text.clone().into_owned()),
            other => Err(wrong_type::<Self>(other)),
        }
    }
    fn to_toml(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl Setting for PathBuf {
    fn expected() -> String {
        "a path".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) if text.contains('\0') => Err(bad::<Self>(text)),
            DeValue::String(text) => Ok(Self::from(text.as_ref())),
            other => Err(wrong_type::<Self>(other)),
        }
    }
    fn to_toml(&self) -> Option<Value> {
        Some(self.to_string_lossy().into_owned().into())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn expected() -> String {
        T::expected()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        T::from_toml(value).map(Some)
    }
    fn to_toml(&self) -> Option<Value> {
        self.as_ref().and_then(T::to_toml)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn expected() -> String {
        format!("a list, each {}", T::expected())
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Array(array) => array
                .iter()
                .map(|one| T::from_toml(one.get_ref()))
                .collect(),
            // One value needs no brackets.
            other => T::from_toml(other)
                .map(|one| vec![one])
                .map_err(|_| wrong_type::<Self>(other)),
        }
    }
    fn to_toml(&self) -> Option<Value> {
        Some(self.iter().filter_map(T::to_toml).collect::<Array>().into())
    }
}

impl Setting for IpNet {
    fn expected() -> String {
        "a network such as \"192.168.1.0/24\" or an address".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let DeValue::String(text) = value else {
            return Err(wrong_type::<Self>(value));
        };
        // Postfix writes IPv6 networks as [::1]/128.
        let plain = text.replace(['[', ']'], "");
        plain
            .parse()
            .or_else(|_| plain.parse().map(|ip: std::net::IpAddr| ip.into()))
            .map_err(|_| bad::<Self>(text))
    }
    fn to_toml(&self) -> Option<Value> {
        Some(self.to_string().into())
    }
}

macro_rules! parsed {
    ($($type:ty: $expected:literal),+) => {$(
        impl Setting for $type {
            fn expected() -> String {
                $expected.to_owned()
            }
            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                match value {
                    DeValue::String(text) => text.parse().map_err(|_| bad::<Self>(text)),
                    other => Err(wrong_type::<Self>(other)),
                }
            }
            fn to_toml(&self) -> Option<Value> {
                Some(self.to_string().into())
            }
        }
    )+};
}
parsed!(
    std::net::IpAddr: "an address such as \"192.168.1.1\"",
    std::net::SocketAddr: "an address with a port, such as \"192.168.1.1:53\""
);

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

/// Permissions of a file, in octal: `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Setting for Mode {
    fn expected() -> String {
        "permissions in octal, such as \"0660\"".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let mode = match value {
            DeValue::String(text) => u32::from_str_radix(text, 8).ok(),
            // 0o660
            DeValue::Integer(number) if number.radix() == 8 => {
                u32::from_str_radix(number.as_str(), 8).ok()
            }
            other => return Err(wrong_type::<Self>(other)),
        };
        mode.filter(|mode| *mode <= 0o777)
            .map(Self)
            .ok_or_else(|| format!("expected {}", Self::expected()))
    }
    fn to_toml(&self) -> Option<Value> {
        Some(format!("{:04o}", self.0).into())
    }
}

/// A table of strings, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map(pub Vec<(String, String)>);

impl Setting for Map {
    fn expected() -> String {
        "a table of strings, such as { \"example.org\" = \"[10.0.0.1]:25\" }".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let DeValue::Table(table) = value else {
            return Err(wrong_type::<Self>(value));
        };
        // The parser sorts by name, and the first that matches counts.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, value)| {
                String::from_toml(value.get_ref())
                    .map(|value| (key.get_ref().clone().into_owned(), value))
                    .map_err(|error| format!("{:?}: {error}", key.get_ref()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
    fn to_toml(&self) -> Option<Value> {
        let table: toml_edit::InlineTable = self
            .0
            .iter()
            .map(|(key, value)| (key.as_str(), Value::from(value.as_str())))
            .collect();
        Some(table.into())
    }
}

impl Setting for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        }
        .filter(|number: &Self| number.is_finite())
        .ok_or_else(|| wrong_type::<Self>(value))
    }
    fn to_toml(&self) -> Option<Value> {
        Some((*self).into())
    }
}

/// Declares a setting that is one of several words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $word_doc])+ $variant,)+
        }

        impl $crate::setting::Setting for $name {
            fn expected() -> String {
                let words: &[&str] = &[$(concat!("\"", $word, "\"")),+];
                format!("one of {}", words.join(", "))
            }
            fn from_toml(value: &toml::de::DeValue<'_>) -> Result<Self, String> {
                match value.as_str() {
                    $(Some($word) => Ok(Self::$variant),)+
                    Some(other) => Err(format!("expected {}, found {other:?}", Self::expected())),
                    None => Err(format!("expected {}", Self::expected())),
                }
            }
            fn to_toml(&self) -> Option<toml_edit::Value> {
                Some(match self { $(Self::$variant => $word,)+ }.into())
            }
        }
    };
}
pub(crate) use choice;

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Setting>(text: &str) -> Result<T, String> {
        T::from_toml(DeValue::parse(text).unwrap().get_ref())
    }

    #[test]
    fn size_in_each_form_is_read() {
        for (text, bytes) in [
            ("50240000", 50_240_000),
            ("\"50M\"", 50 << 20),
            ("\"1 GiB\"", 1 << 30),
            ("\"10kb\"", 10 << 10),
            ("\"0\"", 0),
        ] {
            assert_eq!(read::<Size>(text).unwrap().0, bytes, "{text}");
        }
        for text in ["-1", "\"M\"", "\"5X\"", "\"99999999999T\"", "true", "1.5"] {
            let error = read::<Size>(text).unwrap_err();
            assert!(error.contains("a number of bytes"), "{error}");
        }
    }

    #[test]
    fn value_written_is_read_back_as_it_was() {
        for size in [0, 1, 1024, 1025, 50 << 20, u64::from(u32::MAX)] {
            let text = Size(size).to_toml().unwrap().to_string();
            assert_eq!(read::<Size>(&text).unwrap().0, size, "{text}");
        }
        for seconds in [0, 1, 59, 60, 3600, 86_400 * 5, 100_000] {
            let text = Period::seconds(seconds).to_toml().unwrap().to_string();
            assert_eq!(read::<Period>(&text).unwrap(), Period::seconds(seconds));
        }
        let text = Mode(0o660).to_toml().unwrap().to_string();
        assert_eq!(read::<Mode>(&text).unwrap(), Mode(0o660));
    }

    #[test]
    fn network_is_read_in_postfix_forms() {
        for text in [
            "\"127.0.0.0/8\"",
            "\"[::1]/128\"",
            "\"::1/128\"",
            "\"192.0.2.1\"",
        ] {
            assert!(read::<IpNet>(text).is_ok(), "{text}");
        }
        assert!(read::<IpNet>("\"localhost\"").is_err());
    }

    #[test]
    fn one_value_stands_for_a_list_of_one() {
        assert_eq!(read::<Vec<String>>("\"a\"").unwrap(), ["a"]);
        assert_eq!(read::<Vec<String>>("[\"a\", \"b\"]").unwrap(), ["a", "b"]);
        assert!(read::<Vec<String>>("5").unwrap_err().contains("a list"));
    }

    #[test]
    fn wrong_type_names_both_types() {
        assert_eq!(
            read::<bool>("\"yes\"").unwrap_err(),
            "expected true or false, found a string"
        );
        assert!(read::<u32>("-1").unwrap_err().contains("from 0 up"));
    }
}
