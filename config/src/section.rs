//! How a section is declared: field, type, default and documentation in one place.

use std::collections::BTreeSet;

use toml::de::DeValue;

/// What the reference says of one key.
#[derive(Debug, Clone)]
pub struct KeyInfo {
    /// Its name within the section.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What kind of value it takes.
    pub expected: String,
    /// Its default as TOML; `None` when it has no value unless one is given.
    pub default: Option<toml_edit::Value>,
}

/// A group of keys with their defaults.
pub trait Section: Default {
    /// What it is about.
    const DOC: &'static str;

    /// Every key, in the order of the reference.
    fn keys() -> Vec<KeyInfo>;

    /// Sets a key; `None` when there is no such key.
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Option<Result<(), String>>;

    /// The value of every key, in the order of the reference.
    fn values(&self) -> Vec<(&'static str, Option<toml_edit::Value>)>;
}

/// Declares a section: a struct whose fields each stand with documentation, type and default.
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $name:ident {
            $(
                $(#[doc = $key_doc:literal])+
                $key:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $key_doc])+
                pub $key: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $crate::section::Section for $name {
            const DOC: &'static str = concat!($($doc, "\n"),+);

            fn keys() -> Vec<$crate::section::KeyInfo> {
                use $crate::setting::Setting as _;
                let defaults = Self::default();
                vec![$(
                    $crate::section::KeyInfo {
                        name: stringify!($key),
                        doc: concat!($($key_doc, "\n"),+),
                        expected: <$type>::expected(),
                        default: defaults.$key.to_toml(),
                    },
                )+]
            }

            fn set(&mut self, key: &str, value: &toml::de::DeValue<'_>) -> Option<Result<(), String>> {
                use $crate::setting::Setting as _;
                match key {
                    $(stringify!($key) => {
                        Some(<$type>::from_toml(value).map(|value| self.$key = value))
                    })+
                    _ => None,
                }
            }

            fn values(&self) -> Vec<(&'static str, Option<toml_edit::Value>)> {
                use $crate::setting::Setting as _;
                vec![$((stringify!($key), self.$key.to_toml()),)+]
            }
        }
    };
}
pub(crate) use section;

/// The key of `known` that is most like `key`, if one is like it at all.
pub(crate) fn nearest<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let words = |text: &str| {
        text.split(['_', '.'])
            .map(str::to_owned)
            .collect::<BTreeSet<_>>()
    };
    let own = words(key);
    known
        .into_iter()
        .map(|candidate| (distance(key, candidate), candidate))
        .filter(|(distance, candidate)| {
            // A few slips of the finger, or the same words in another order or number.
            let longest = key.chars().count().max(candidate.chars().count());
            let shared = words(candidate).intersection(&own).count();
            *distance * 3 <= longest || shared * 2 >= own.len().max(2)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&above, j) + usize::from(x != y))
                .min(at(&above, j + 1) + 1)
                .min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips_and_swaps() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("relayhots", "relayhost"), 1);
    }

    #[test]
    fn nearest_finds_slips_and_related_names_and_nothing_else() {
        let known = ["message_size_limit", "relayhost", "mynetworks"];
        assert_eq!(
            nearest("mesage_size_limt", known),
            Some("message_size_limit")
        );
        assert_eq!(nearest("size_limit", known), Some("message_size_limit"));
        assert_eq!(nearest("relay_host", known), Some("relayhost"));
        assert_eq!(nearest("colour", known), None);
    }
}
