//! A row as texts: whatever type a column has, `active` as boolean or tinyint among them.

use sqlx::{
    Column as _, Row as _, TypeInfo as _, ValueRef as _, mysql::MySqlRow, postgres::PgRow,
    sqlite::SqliteRow,
};

/// A row: column names and values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row(Vec<(String, Option<String>)>);

impl Row {
    /// A column by name, without regard to case; `None` when it is NULL or not there.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(column, _)| column.eq_ignore_ascii_case(name))
            .and_then(|(_, value)| value.as_deref())
    }

    /// All values that are not NULL, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|(_, value)| value.as_deref())
    }

    /// A number, 0 when it is none.
    pub(crate) fn number(&self, name: &str) -> i64 {
        self.text(name)
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0)
    }

    /// A truth value; `missing` when there is no such column.
    pub(crate) fn truth(&self, name: &str, missing: bool) -> bool {
        match self.text(name) {
            None => missing,
            Some(text) => {
                let text = text.trim();
                matches!(text, "t" | "y" | "T" | "Y")
                    || text.eq_ignore_ascii_case("true")
                    || text.parse::<i64>().is_ok_and(|number| number != 0)
            }
        }
    }
}

/// SQLite turns any value into text itself.
pub(crate) fn from_sqlite(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    let mut columns = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let value = row.try_get_unchecked::<Option<String>, _>(index)?;
        columns.push((column.name().to_owned(), value));
    }
    Ok(Row(columns))
}

pub(crate) fn from_postgres(row: &PgRow) -> Result<Row, sqlx::Error> {
    let mut columns = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let value = match column.type_info().name() {
            "BOOL" => text(row.try_get::<Option<bool>, _>(index)?),
            "INT2" => text(row.try_get::<Option<i16>, _>(index)?),
            "INT4" => text(row.try_get::<Option<i32>, _>(index)?),
            "INT8" => text(row.try_get::<Option<i64>, _>(index)?),
            "FLOAT4" => text(row.try_get::<Option<f32>, _>(index)?),
            "FLOAT8" => text(row.try_get::<Option<f64>, _>(index)?),
            "VOID" => None,
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "UNKNOWN" | "CITEXT" | "citext" => {
                row.try_get_unchecked::<Option<String>, _>(index)?
            }
            other => return Err(unreadable(column.name(), other)),
        };
        columns.push((column.name().to_owned(), value));
    }
    Ok(Row(columns))
}

pub(crate) fn from_mysql(row: &MySqlRow) -> Result<Row, sqlx::Error> {
    let mut columns = Vec::with_capacity(row.len());
    for (index, column) in row.columns().iter().enumerate() {
        let raw = row.try_get_raw(index)?;
        let value = if raw.is_null() {
            None
        } else {
            match raw.type_info().name() {
                kind if kind.ends_with("INT UNSIGNED") => {
                    Some(row.try_get_unchecked::<u64, _>(index)?.to_string())
                }
                kind if kind.ends_with("INT") || kind == "BOOLEAN" => {
                    Some(row.try_get_unchecked::<i64, _>(index)?.to_string())
                }
                "FLOAT" => Some(row.try_get_unchecked::<f32, _>(index)?.to_string()),
                "DOUBLE" => Some(row.try_get_unchecked::<f64, _>(index)?.to_string()),
                // DECIMAL travels as text. An old table may hold Latin-1.
                "DECIMAL" | "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT"
                | "LONGTEXT" | "ENUM" | "SET" | "BINARY" | "VARBINARY" | "TINYBLOB" | "BLOB"
                | "MEDIUMBLOB" | "LONGBLOB" => {
                    let bytes = row.try_get_unchecked::<Vec<u8>, _>(index)?;
                    Some(String::from_utf8_lossy(&bytes).into_owned())
                }
                other => return Err(unreadable(column.name(), other)),
            }
        };
        columns.push((column.name().to_owned(), value));
    }
    Ok(Row(columns))
}

fn text<T: ToString>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn unreadable(column: &str, kind: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column:?} has type {kind}: cast it to text").into())
}
