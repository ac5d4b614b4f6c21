//! Permissions of files.

use toml::de::DeValue;
use toml_edit::Value;

use super::{Setting, wrong_type};

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
