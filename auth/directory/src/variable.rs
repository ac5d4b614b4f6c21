//! The `%` variables of Postfix's SQL maps and of Dovecot's settings.

use facteur_address::{Address, Domain};

/// Whose variables a text has: the same letter means different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// mysql_table(5): `%s` the key, `%u` its local part, `%d` its domain.
    Postfix,
    /// Dovecot: `%u` the user, `%n` its local part, `%d` its domain, `%{user}` and so on.
    Dovecot,
}

/// What a variable stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The whole key.
    Whole,
    /// Its local part; the whole key when that has no `@`.
    Local,
    /// Its domain.
    Domain,
    /// The home folder (in mail locations only).
    Home,
}

/// What a variable's value is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Kept,
    Lower,
    Upper,
}

/// A part of a text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Variable(Variable, Case),
}

/// A `%` with something behind it that we do not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown variable {found:?}; known are {known}")]
pub struct VariableError {
    found: String,
    known: &'static str,
}

/// What is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    whole: &'a str,
    local: &'a str,
    domain: Option<&'a str>,
}

/// Pieces put together for a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Expansion {
    Text(String),
    /// The key has no such part.
    NotApplicable,
}

/// Reads the variable (or `%%`) at the start of `text`; gives it and what follows.
pub(crate) fn read_variable(text: &str, syntax: Syntax) -> Result<(Piece, &str), VariableError> {
    let rest = text.strip_prefix('%').unwrap_or(text);
    if let Some(rest) = rest.strip_prefix('%') {
        return Ok((Piece::Text("%".to_owned()), rest));
    }
    let read = match syntax {
        Syntax::Postfix => postfix(rest),
        Syntax::Dovecot => dovecot(rest),
    };
    read.ok_or_else(|| VariableError {
        found: text
            .chars()
            .take(if rest.starts_with('{') { 20 } else { 2 })
            .collect(),
        known: match syntax {
            Syntax::Postfix => "%s, %u, %d, %S, %U, %D and %%",
            Syntax::Dovecot => "%u, %n, %d, %h, their %L and %U forms, %{user} and %%",
        },
    })
}

fn postfix(rest: &str) -> Option<(Piece, &str)> {
    let mut chars = rest.chars();
    let (variable, case) = match chars.next()? {
        's' => (Variable::Whole, Case::Kept),
        'u' => (Variable::Local, Case::Kept),
        'd' => (Variable::Domain, Case::Kept),
        'S' => (Variable::Whole, Case::Upper),
        'U' => (Variable::Local, Case::Upper),
        'D' => (Variable::Domain, Case::Upper),
        _ => return None,
    };
    Some((Piece::Variable(variable, case), chars.as_str()))
}

fn dovecot(rest: &str) -> Option<(Piece, &str)> {
    if let Some(long) = rest.strip_prefix('{') {
        let (inside, rest) = long.split_once('}')?;
        return Some((dovecot_long(inside)?, rest));
    }
    let mut chars = rest.chars();
    let mut case = Case::Kept;
    let mut letter = chars.next()?;
    if let 'L' | 'U' = letter {
        case = if letter == 'L' {
            Case::Lower
        } else {
            Case::Upper
        };
        letter = chars.next()?;
    }
    let variable = match letter {
        'u' => Variable::Whole,
        'n' => Variable::Local,
        'd' => Variable::Domain,
        'h' => Variable::Home,
        _ => return None,
    };
    Some((Piece::Variable(variable, case), chars.as_str()))
}

/// `user`, `username`, `domain`, `home`; with Dovecot 2.4's filters: `user | domain | lower`.
fn dovecot_long(inside: &str) -> Option<Piece> {
    let mut words = inside.split('|').map(str::trim);
    let mut variable = match words.next()? {
        "user" => Variable::Whole,
        "username" => Variable::Local,
        "domain" => Variable::Domain,
        "home" => Variable::Home,
        _ => return None,
    };
    let mut case = Case::Kept;
    for filter in words {
        match (filter, variable) {
            ("lower", _) => case = Case::Lower,
            ("upper", _) => case = Case::Upper,
            ("username", Variable::Whole) => variable = Variable::Local,
            ("domain", Variable::Whole) => variable = Variable::Domain,
            _ => return None,
        }
    }
    Some(Piece::Variable(variable, case))
}

impl<'a> Key<'a> {
    /// `text` is the address as it is looked up; it must outlive the key.
    pub(crate) fn address(text: &'a str) -> Self {
        match text.rsplit_once('@') {
            Some((local, domain)) => Self {
                whole: text,
                local,
                domain: Some(domain),
            },
            None => Self {
                whole: text,
                local: text,
                domain: None,
            },
        }
    }

    pub(crate) fn domain(domain: &'a Domain) -> Self {
        Self {
            whole: domain.as_str(),
            local: domain.as_str(),
            domain: None,
        }
    }

    /// Puts pieces together. [`Variable::Home`] has no value here.
    pub(crate) fn expand(&self, pieces: &[Piece]) -> Expansion {
        let mut out = String::new();
        for piece in pieces {
            let (value, case) = match piece {
                Piece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Piece::Variable(variable, case) => (self.value(*variable), case),
            };
            let Some(value) = value else {
                return Expansion::NotApplicable;
            };
            match case {
                Case::Kept => out.push_str(value),
                Case::Lower => out.push_str(&value.to_lowercase()),
                Case::Upper => out.push_str(&value.to_uppercase()),
            }
        }
        Expansion::Text(out)
    }

    fn value(&self, variable: Variable) -> Option<&'a str> {
        match variable {
            Variable::Whole => Some(self.whole),
            Variable::Local => Some(self.local).filter(|local| !local.is_empty()),
            Variable::Domain => self.domain,
            Variable::Home => None,
        }
    }
}

/// How an address is written in a directory: without quotes.
pub(crate) fn lookup_text(address: &Address) -> String {
    format!("{}@{}", address.local(), address.domain())
}
