//! Where an account's mail lies: Dovecot's mail_location and home, with their variables.

use std::path::PathBuf;

use facteur_address::Address;

use crate::variable::{Case, Piece, Syntax, Variable, VariableError, lookup_text, read_variable};

/// The template of mail homes, such as `/home/virtual/%d/%n`, `sdbox:/home/virtual/%d/%n` or
/// `sdbox:~/mail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeTemplate(Vec<Piece>);

/// Why a text is no mail home.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// A `%x` we do not know.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Another program's format.
    #[error("mail format {0:?} is not supported; use sdbox")]
    Format(String),
    /// Options such as `:INDEX=`.
    #[error("mail location option {0:?} is not supported")]
    Option(String),
    /// Not `/…` after substitution.
    #[error("{0:?} is not an absolute path")]
    Relative(String),
    /// An address that would lead elsewhere in the file system.
    #[error("{0:?} cannot be part of a path")]
    Unsafe(String),
    /// The template asks for the home, and the directory has none for this account.
    #[error("the directory gives no home for this account")]
    NoHome,
    /// A template without any variable would put all accounts into one folder.
    #[error("the path is the same for every account: use %d/%n or %u")]
    Constant,
}

impl HomeTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When it has an unknown variable, another format than sdbox, or no variable.
    pub fn parse(text: &str) -> Result<Self, HomeError> {
        let template = Self(pieces(location_path(text)?)?);
        let of_account = |piece: &Piece| match piece {
            Piece::Text(_) => false,
            Piece::Variable(variable, _) => *variable != Variable::Domain,
        };
        if !template.0.iter().any(of_account) {
            return Err(HomeError::Constant);
        }
        template.check_start()?;
        Ok(template)
    }

    fn check_start(&self) -> Result<(), HomeError> {
        match self.0.first() {
            Some(Piece::Text(text)) if !text.starts_with('/') => {
                Err(HomeError::Relative(text.clone()))
            }
            Some(Piece::Variable(variable, _)) if *variable != Variable::Home => {
                Err(HomeError::Relative("%".to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn has_home(&self) -> bool {
        let is_home = |piece: &Piece| matches!(piece, Piece::Variable(Variable::Home, _));
        self.0.iter().any(is_home)
    }

    /// The mail home of `address`. The directory's own columns win: `mail` (a mail location),
    /// then `home`, unless the template itself is made from the home.
    pub(crate) fn resolve(
        &self,
        address: &Address,
        home: Option<&str>,
        mail: Option<&str>,
    ) -> Result<PathBuf, HomeError> {
        let home = home.filter(|home| !home.is_empty());
        if let Some(mail) = mail.filter(|mail| !mail.is_empty()) {
            return substitute(&pieces(location_path(mail)?)?, address, home);
        }
        match home {
            Some(home) if !self.has_home() => substitute(&pieces(home)?, address, None),
            _ => substitute(&self.0, address, home),
        }
    }
}

/// The path in `sdbox:/path:OPTION=…`.
fn location_path(text: &str) -> Result<&str, HomeError> {
    let text = text.trim();
    let (format, path) = match text.split_once(':') {
        Some((format, path)) if !format.contains(['/', '%', '~']) => (format, path),
        _ => ("sdbox", text),
    };
    if !format.eq_ignore_ascii_case("sdbox") {
        return Err(HomeError::Format(format.to_owned()));
    }
    match path.split_once(':') {
        Some((_, options)) => Err(HomeError::Option(options.to_owned())),
        None => Ok(path),
    }
}

fn pieces(mut text: &str) -> Result<Vec<Piece>, HomeError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    if let Some(rest) = text
        .strip_prefix('~')
        .filter(|r| r.is_empty() || r.starts_with('/'))
    {
        pieces.push(Piece::Variable(Variable::Home, Case::Kept));
        text = rest;
    }
    while let Some(at) = text.find('%') {
        let (before, variable) = text.split_at(at);
        literal.push_str(before);
        let (piece, rest) = read_variable(variable, Syntax::Dovecot)?;
        text = rest;
        match piece {
            Piece::Text(percent) => literal.push_str(&percent),
            variable => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(variable);
            }
        }
    }
    literal.push_str(text);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

fn substitute(
    pieces: &[Piece],
    address: &Address,
    home: Option<&str>,
) -> Result<PathBuf, HomeError> {
    let whole = lookup_text(address);
    let mut out = String::new();
    for piece in pieces {
        let (value, case) = match piece {
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
            Piece::Variable(Variable::Home, _) => {
                out.push_str(home.ok_or(HomeError::NoHome)?.trim_end_matches('/'));
                continue;
            }
            Piece::Variable(Variable::Whole, case) => (whole.as_str(), case),
            Piece::Variable(Variable::Local, case) => (address.local(), case),
            Piece::Variable(Variable::Domain, case) => (address.domain().as_str(), case),
        };
        // A local part may be "../other" or "a/b" (RFC 5321 §4.1.2 allows both in quotes).
        if value.contains(['/', '\0']) || value.is_empty() || value == "." || value == ".." {
            return Err(HomeError::Unsafe(value.to_owned()));
        }
        match case {
            Case::Kept => out.push_str(value),
            Case::Lower => out.push_str(&value.to_lowercase()),
            Case::Upper => out.push_str(&value.to_uppercase()),
        }
    }
    if !out.starts_with('/') {
        return Err(HomeError::Relative(out));
    }
    if out.split('/').any(|component| component == "..") {
        return Err(HomeError::Unsafe(out));
    }
    Ok(PathBuf::from(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        template: &str,
        home: Option<&str>,
        mail: Option<&str>,
    ) -> Result<String, HomeError> {
        let address = Address::parse("Bob@example.org").unwrap();
        HomeTemplate::parse(template)?
            .resolve(&address, home, mail)
            .map(|path| path.display().to_string())
    }

    #[test]
    fn template_with_variables_gives_the_path() {
        let ok = |path: &str| Ok(path.to_owned());
        assert_eq!(
            resolve("/srv/%d/%n", None, None),
            ok("/srv/example.org/Bob")
        );
        assert_eq!(
            resolve("sdbox:/srv/%Ld/%Ln/", None, None),
            ok("/srv/example.org/bob/")
        );
        assert_eq!(
            resolve("/srv/%{domain}/%{username | lower}", None, None),
            ok("/srv/example.org/bob")
        );
        assert_eq!(
            resolve("/srv/100%%/%u", None, None),
            ok("/srv/100%/Bob@example.org")
        );
    }

    #[test]
    fn columns_of_the_directory_win_over_the_template() {
        let ok = |path: &str| Ok(path.to_owned());
        assert_eq!(resolve("/srv/%u", Some("/home/bob"), None), ok("/home/bob"));
        assert_eq!(
            resolve("/srv/%u", Some("/home/bob"), Some("sdbox:~/mail")),
            ok("/home/bob/mail")
        );
        assert_eq!(
            resolve("sdbox:%h/mail", Some("/home/bob/"), None),
            ok("/home/bob/mail")
        );
        assert_eq!(resolve("~/mail", None, None), Err(HomeError::NoHome));
    }

    #[test]
    fn unusable_templates_are_refused() {
        assert_eq!(
            resolve("maildir:/srv/%d/%n", None, None),
            Err(HomeError::Format("maildir".to_owned()))
        );
        assert_eq!(
            resolve("sdbox:/srv/%u:INDEX=/tmp", None, None),
            Err(HomeError::Option("INDEX=/tmp".to_owned()))
        );
        assert_eq!(resolve("/srv/%d", None, None), Err(HomeError::Constant));
        assert!(matches!(
            resolve("srv/%u", None, None),
            Err(HomeError::Relative(_))
        ));
        assert!(matches!(
            resolve("/srv/%q", None, None),
            Err(HomeError::Variable(_))
        ));
    }

    #[test]
    fn address_that_would_leave_its_folder_has_no_home() {
        let template = HomeTemplate::parse("/srv/%d/%n").unwrap();
        for address in ["\"../x\"@a.b", "\"a/b\"@a.b", "\"..\"@a.b"] {
            let address = Address::parse(address).unwrap();
            assert!(matches!(
                template.resolve(&address, None, None),
                Err(HomeError::Unsafe(_))
            ));
        }
    }
}
