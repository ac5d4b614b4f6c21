//! Queries as people have them in Postfix's maps and dovecot-sql.conf: their variables become bound
//! parameters, so that no address can change what a query says.

use super::dialect::Dialect;
use crate::variable::{Expansion, Key, Piece, Syntax, VariableError, read_variable};

/// A query of the configuration, ready for its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    sql: std::sync::Arc<str>,
    parameters: Vec<Vec<Piece>>,
}

/// Why a query of the configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A `%x` we do not know.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// A string literal or comment without its end.
    #[error("the query ends inside a string or a comment")]
    Unterminated,
    /// A variable inside the name of a column or table.
    #[error("a variable cannot stand inside a quoted name; put it in '…'")]
    InName,
    /// Nothing there.
    #[error("the query is empty")]
    Empty,
}

impl Query {
    /// Reads a query. A string literal with a variable in it (`'/home/%d/%n'`) becomes one
    /// parameter, the substituted text; a variable outside of quotes becomes one too.
    pub(crate) fn parse(text: &str, syntax: Syntax, dialect: Dialect) -> Result<Self, QueryError> {
        let text = text.trim().trim_end_matches(';');
        if text.is_empty() {
            return Err(QueryError::Empty);
        }
        let mut reader = Reader {
            rest: text,
            syntax,
            dialect,
            sql: String::with_capacity(text.len() + 32),
            parameters: Vec::new(),
        };
        reader.read()?;
        Ok(Self {
            sql: reader.sql.into(),
            parameters: reader.parameters,
        })
    }

    /// The SQL with parameters.
    pub(crate) fn sql(&self) -> &std::sync::Arc<str> {
        &self.sql
    }

    /// The parameters for a key; `None` when the query does not apply to it (`%d` without a
    /// domain, `%u` of an empty local part), as in mysql_table(5).
    pub(crate) fn parameters(&self, key: &Key<'_>) -> Option<Vec<String>> {
        self.parameters
            .iter()
            .map(|pieces| match key.expand(pieces) {
                Expansion::Text(text) => Some(text),
                Expansion::NotApplicable => None,
            })
            .collect()
    }
}

struct Reader<'a> {
    rest: &'a str,
    syntax: Syntax,
    dialect: Dialect,
    sql: String,
    parameters: Vec<Vec<Piece>>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), QueryError> {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '\'' => self.quoted('\'')?,
                '"' => self.quoted('"')?,
                '`' => self.quoted('`')?,
                '-' if self.rest.starts_with("--") => self.comment("\n", false)?,
                '/' if self.rest.starts_with("/*") => self.comment("*/", true)?,
                '%' => {
                    let (piece, rest) = read_variable(self.rest, self.syntax)?;
                    self.rest = rest;
                    match piece {
                        Piece::Text(text) => self.sql.push_str(&text),
                        variable => self.parameter(vec![variable]),
                    }
                }
                c => self.copy(c),
            }
        }
        Ok(())
    }

    fn copy(&mut self, c: char) {
        self.sql.push(c);
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
    }

    fn parameter(&mut self, pieces: Vec<Piece>) {
        self.parameters.push(pieces);
        self.dialect
            .push_parameter(&mut self.sql, self.parameters.len());
    }

    fn comment(&mut self, end: &str, needed: bool) -> Result<(), QueryError> {
        let len = match self.rest.find(end) {
            Some(at) => at + end.len(),
            None if needed => return Err(QueryError::Unterminated),
            None => self.rest.len(),
        };
        let (comment, rest) = self.rest.split_at(len);
        self.sql.push_str(comment);
        self.rest = rest;
        Ok(())
    }

    /// A literal or a quoted name: copied as it stands unless there is a variable in it.
    fn quoted(&mut self, quote: char) -> Result<(), QueryError> {
        let escapes = quote != '`' && self.dialect.backslash_escapes(&self.sql);
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut verbatim = String::from(quote);
        let mut rest = self.rest.get(1..).unwrap_or("");
        loop {
            let c = rest.chars().next().ok_or(QueryError::Unterminated)?;
            let after = rest.get(c.len_utf8()..).unwrap_or("");
            if c == quote {
                rest = after;
                verbatim.push(c);
                if !rest.starts_with(quote) {
                    break;
                }
                text.push(c);
                verbatim.push(c);
                rest = rest.get(1..).unwrap_or("");
            } else if c == '%' {
                let (piece, after) = read_variable(rest, self.syntax)?;
                rest = after;
                if let Piece::Text(percent) = &piece {
                    text.push_str(percent);
                    verbatim.push_str(percent);
                } else {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                    pieces.push(piece);
                }
            } else if c == '\\' && escapes {
                let escaped = after.chars().next().ok_or(QueryError::Unterminated)?;
                verbatim.extend([c, escaped]);
                unescape(escaped, &mut text);
                rest = after.get(escaped.len_utf8()..).unwrap_or("");
            } else {
                text.push(c);
                verbatim.push(c);
                rest = after;
            }
        }
        self.rest = rest;
        if pieces.is_empty() {
            self.sql.push_str(&verbatim);
            return Ok(());
        }
        if !self.dialect.is_string_quote(quote) {
            return Err(QueryError::InName);
        }
        if self.dialect == Dialect::Postgres && escapes {
            // The E of E'…' has no place before a parameter.
            self.sql.pop();
        }
        pieces.push(Piece::Text(text));
        self.parameter(pieces);
        Ok(())
    }
}

fn unescape(c: char, text: &mut String) {
    match c {
        'n' => text.push('\n'),
        't' => text.push('\t'),
        'r' => text.push('\r'),
        // Only LIKE takes these apart, so MySQL leaves the backslash.
        '%' | '_' => text.extend(['\\', c]),
        c => text.push(c),
    }
}

#[cfg(test)]
mod tests;
