//! Tables of strings.

use toml::de::DeValue;
use toml_edit::Value;

use super::{Setting, wrong_type};

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
