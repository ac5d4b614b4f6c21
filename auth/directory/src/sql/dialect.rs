//! Where the databases differ in what they read.

/// Which SQL a database speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    MySql,
}

impl Dialect {
    /// Writes what stands for parameter `number` (from 1). All our parameters are texts;
    /// PostgreSQL has to be told where the place does not say it, as in `CONCAT($1, '@', …)`.
    pub(crate) fn push_parameter(self, sql: &mut String, number: usize) {
        match self {
            Self::Sqlite | Self::MySql => sql.push('?'),
            Self::Postgres => {
                sql.push_str("CAST($");
                sql.push_str(&number.to_string());
                sql.push_str(" AS text)");
            }
        }
    }

    /// A truth value as a literal.
    pub(crate) fn boolean(self, value: bool) -> &'static str {
        match (self, value) {
            (Self::Postgres, true) => "true",
            (Self::Postgres, false) => "false",
            (_, true) => "1",
            (_, false) => "0",
        }
    }

    /// Whether text between these quotes is a string rather than a name.
    pub(crate) fn is_string_quote(self, quote: char) -> bool {
        quote == '\'' || (quote == '"' && self != Self::Postgres)
    }

    /// Whether a backslash escapes in a string that follows `sql`: always in MySQL, in
    /// PostgreSQL after `E`.
    pub(crate) fn backslash_escapes(self, sql: &str) -> bool {
        match self {
            Self::Sqlite => false,
            Self::MySql => true,
            Self::Postgres => {
                let mut before = sql.chars().rev();
                matches!(before.next(), Some('e' | 'E'))
                    && !before
                        .next()
                        .is_some_and(|c| c.is_alphanumeric() || c == '_')
            }
        }
    }

    /// The time now, as PostfixAdmin stores it.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Sqlite => "datetime('now')",
            Self::Postgres | Self::MySql => "CURRENT_TIMESTAMP",
        }
    }
}
