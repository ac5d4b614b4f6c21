//! The kinds of values a key can have, as they stand in the file.

mod map;
mod mode;
mod period;
mod size;

use std::path::PathBuf;

use ipnet::IpNet;
use toml::de::DeValue;
use toml_edit::{Array, Value};

pub use map::Map;
pub use mode::Mode;
pub use period::Period;
pub use size::Size;

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
pub(crate) fn wrong_type<T: Setting>(found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(true) => "true",
        DeValue::Boolean(false) => "false",
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
                    None => Err($crate::setting::wrong_type::<Self>(value)),
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
