//! Statements over the columns a database has.

use std::{fmt::Write as _, sync::Arc};

use super::{AdminError, Change, failure};
use crate::sql::Row;

/// A value to write.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    Now,
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl Change {
    fn push(&self, sql: &mut String, parameters: &mut Vec<String>, value: &Value) {
        match value {
            Value::Text(text) => {
                parameters.push(text.clone());
                self.dialect.push_parameter(sql, parameters.len());
            }
            Value::Number(number) => {
                let _ = write!(sql, "{number}");
            }
            Value::Truth(truth) => sql.push_str(self.dialect.boolean(*truth)),
            Value::Now => sql.push_str(self.dialect.now()),
        }
    }

    /// Inserts a row; columns the table lacks are left out.
    pub(super) async fn insert(
        &mut self,
        table: &str,
        values: &[(&str, Value)],
    ) -> Result<(), AdminError> {
        let mut columns = String::new();
        let mut literals = String::new();
        let mut parameters = Vec::new();
        for (column, value) in values.iter().filter(|(c, _)| self.schema.has(table, c)) {
            if !columns.is_empty() {
                columns.push_str(", ");
                literals.push_str(", ");
            }
            columns.push_str(column);
            self.push(&mut literals, &mut parameters, value);
        }
        let sql: Arc<str> = format!("INSERT INTO {table} ({columns}) VALUES ({literals})").into();
        self.transaction
            .execute(&sql, &parameters)
            .await
            .map(|_| ())
            .map_err(failure)
    }

    /// Updates the row whose `key.0` is `key.1`; says whether there is one.
    pub(super) async fn update(
        &mut self,
        table: &str,
        key: (&str, &str),
        values: &[(&str, Value)],
    ) -> Result<bool, AdminError> {
        let mut sql = format!("UPDATE {table} SET ");
        let mut parameters = Vec::new();
        let mut first = true;
        for (column, value) in values.iter().filter(|(c, _)| self.schema.has(table, c)) {
            if !std::mem::take(&mut first) {
                sql.push_str(", ");
            }
            sql.push_str(column);
            sql.push_str(" = ");
            self.push(&mut sql, &mut parameters, value);
        }
        sql.push_str(" WHERE ");
        sql.push_str(key.0);
        sql.push_str(" = ");
        self.push(&mut sql, &mut parameters, &Value::text(key.1));
        self.transaction
            .execute(&sql.into(), &parameters)
            .await
            .map(|rows| rows > 0)
            .map_err(failure)
    }

    /// Deletes the rows whose `key.0` is `key.1`; says how many. No table, no rows.
    pub(super) async fn delete(
        &mut self,
        table: &str,
        key: (&str, &str),
    ) -> Result<u64, AdminError> {
        if !self.schema.has(table, key.0) {
            return Ok(0);
        }
        let mut sql = format!("DELETE FROM {table} WHERE {} = ", key.0);
        let mut parameters = Vec::new();
        self.push(&mut sql, &mut parameters, &Value::text(key.1));
        self.transaction
            .execute(&sql.into(), &parameters)
            .await
            .map_err(failure)
    }

    /// All columns of the rows whose `key.0` is `key.1`; of all rows without a key.
    pub(super) async fn select(
        &mut self,
        table: &str,
        columns: &[&str],
        key: Option<(&str, &str)>,
    ) -> Result<Vec<Row>, AdminError> {
        if !columns.iter().any(|column| self.schema.has(table, column)) {
            return Ok(Vec::new());
        }
        let mut sql = String::from("SELECT ");
        let mut first = true;
        for column in columns.iter().filter(|c| self.schema.has(table, c)) {
            if !std::mem::take(&mut first) {
                sql.push_str(", ");
            }
            sql.push_str(column);
        }
        let _ = write!(sql, " FROM {table}");
        let mut parameters = Vec::new();
        if let Some((column, value)) = key {
            let _ = write!(sql, " WHERE {column} = ");
            self.push(&mut sql, &mut parameters, &Value::text(value));
        }
        if let Some(order) = columns.first() {
            let _ = write!(sql, " ORDER BY {order}");
        }
        self.transaction
            .rows(&sql.into(), &parameters)
            .await
            .map_err(failure)
    }
}
