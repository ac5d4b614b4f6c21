//! Which of PostfixAdmin's tables and columns a database has: they grew from 2.92 to 4.x, and a
//! user's own schema may have fewer.

use std::{collections::HashSet, sync::Arc};

use super::{dialect::Dialect, pool::Pool};

/// Tables and their columns, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Schema(HashSet<(String, String)>);

/// PostfixAdmin's tables that we read or write.
pub(crate) const TABLES: [&str; 5] = ["domain", "mailbox", "alias", "alias_domain", "quota2"];

impl Schema {
    pub(crate) async fn read(pool: &Pool) -> Result<Self, sqlx::Error> {
        let mut columns = HashSet::new();
        for table in TABLES {
            let sql: Arc<str> = match pool.dialect() {
                Dialect::Sqlite => format!("SELECT name AS n FROM pragma_table_info('{table}')"),
                Dialect::Postgres => format!(
                    "SELECT a.attname::text AS n FROM pg_catalog.pg_attribute a \
                     WHERE a.attrelid = to_regclass('{table}') AND a.attnum > 0 \
                     AND NOT a.attisdropped"
                ),
                Dialect::MySql => format!(
                    "SELECT column_name AS n FROM information_schema.columns \
                     WHERE table_schema = DATABASE() AND table_name = '{table}'"
                ),
            }
            .into();
            for row in pool.rows(&sql, &[]).await? {
                if let Some(column) = row.text("n") {
                    columns.insert((table.to_owned(), column.to_lowercase()));
                }
            }
        }
        Ok(Self(columns))
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.0.iter().any(|(name, _)| name == table)
    }

    pub(crate) fn has(&self, table: &str, column: &str) -> bool {
        self.0.contains(&(table.to_owned(), column.to_owned()))
    }

    /// `alias.column AS name` for a column that may be missing; nothing when it is.
    pub(crate) fn select(&self, table: &str, column: &str, name: &str) -> String {
        if self.has(table, column) {
            format!(", {table}.{column} AS {name}")
        } else {
            String::new()
        }
    }
}
