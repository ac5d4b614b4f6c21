//! Enhanced status codes (RFC 3463).

use std::fmt;

/// `class "." subject "." detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatus {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedStatus {
    /// From its three numbers; the class is 2, 4 or 5.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }

    /// Parses `5.1.1`; `None` when a part is missing, longer than three digits, or the class is none.
    ///
    /// ```text
    /// status-code = class "." subject "." detail
    /// class       = "2" / "4" / "5"
    /// subject     = 1*3digit
    /// detail      = 1*3digit
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let mut number = || {
            let part = parts.next()?;
            let fits = (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| part.parse().ok()).flatten()
        };
        let (subject, detail) = (number()?, number()?);
        parts.next().is_none().then_some(Self {
            class,
            subject,
            detail,
        })
    }

    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// What it is about: 1 addressing, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content,
    /// 7 security or policy.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// What precisely.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_inverts_display() {
        for status in [EnhancedStatus::new(2, 0, 0), EnhancedStatus::new(5, 7, 133)] {
            assert_eq!(EnhancedStatus::parse(&status.to_string()), Some(status));
        }
    }

    #[test]
    fn malformed_codes_are_refused() {
        for text in [
            "", "5", "5.1", "3.1.1", "5.1.1.1", "5.1.", "5.+1.1", "5.1.1000", "5 1 1",
        ] {
            assert_eq!(EnhancedStatus::parse(text), None, "{text}");
        }
    }
}
