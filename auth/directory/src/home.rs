//! Where an account's mail lies: Dovecot's mail_location and home, with their variables.

use std::path::PathBuf;

use facteur_address::Address;
use facteur_model::MailFormat;

use crate::variable::{Case, Piece, Syntax, Variable, VariableError, lookup_text, read_variable};

/// The template of mail homes, such as `/home/virtual/%d/%n`, `sdbox:/home/virtual/%d/%n`,
/// `sdbox:~/mail` or `maildir:/var/mail/%d/%n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeTemplate {
    format: MailFormat,
    path: Vec<Piece>,
}

/// Where an account's mail lies, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailHome {
    /// The folder.
    pub path: PathBuf,
    /// What is in it.
    pub format: MailFormat,
}

/// Why a text is no mail home.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HomeError {
    /// A `%x` we do not know.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// Another program's format.
    #[error("mail format {0:?} is not supported; use sdbox or maildir")]
    Format(String),
    /// Options that say that files lie elsewhere, or otherwise.
    #[error(
        "mail location option {0:?} is not supported: leave it out, and move what lies elsewhere \
         because of it to where it lies without"
    )]
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
    /// When it has an unknown variable, a format or an option that is not supported, or no variable.
    pub fn parse(text: &str) -> Result<Self, HomeError> {
        let location = Location::parse(text)?;
        if let Some(index) = location.index {
            tracing::info!(
                mail_location = text,
                "INDEX={index} is passed over: the index lies with the mail"
            );
        }
        let template = Self {
            format: location.format,
            path: pieces(location.path)?,
        };
        let of_account = |piece: &Piece| match piece {
            Piece::Text(_) => false,
            Piece::Variable(variable, _) => *variable != Variable::Domain,
        };
        if !template.path.iter().any(of_account) {
            return Err(HomeError::Constant);
        }
        template.check_start()?;
        Ok(template)
    }

    /// The folder that all homes are in, as far as the template says it.
    pub fn root(&self) -> Option<PathBuf> {
        match self.path.first() {
            Some(Piece::Text(text)) => {
                let (root, _) = text.rsplit_once('/')?;
                (!root.is_empty()).then(|| PathBuf::from(root))
            }
            _ => None,
        }
    }

    fn check_start(&self) -> Result<(), HomeError> {
        match self.path.first() {
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
        self.path.iter().any(is_home)
    }

    /// The mail home of `address`. The directory's own columns win: `mail` (a mail location),
    /// then `home`, unless the template itself is made from the home.
    pub(crate) fn resolve(
        &self,
        address: &Address,
        home: Option<&str>,
        mail: Option<&str>,
    ) -> Result<MailHome, HomeError> {
        let home = home.filter(|home| !home.is_empty());
        if let Some(mail) = mail.filter(|mail| !mail.is_empty()) {
            let location = Location::parse(mail)?;
            return Ok(MailHome {
                path: substitute(&pieces(location.path)?, address, home)?,
                format: location.format,
            });
        }
        let path = match home {
            Some(home) if !self.has_home() => substitute(&pieces(home)?, address, None),
            _ => substitute(&self.path, address, home),
        };
        Ok(MailHome {
            path: path?,
            format: self.format,
        })
    }
}

/// `maildir:/path:OPTION=…`, taken apart.
struct Location<'a> {
    format: MailFormat,
    path: &'a str,
    /// Where Dovecot had its index.
    index: Option<&'a str>,
}

impl<'a> Location<'a> {
    fn parse(text: &'a str) -> Result<Self, HomeError> {
        let text = text.trim();
        let (format, rest) = match text.split_once(':') {
            Some((format, rest)) if !format.contains(['/', '%', '~']) => (format, rest),
            _ => ("sdbox", text),
        };
        let format = [MailFormat::Sdbox, MailFormat::Maildir]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(format))
            .ok_or_else(|| HomeError::Format(format.to_owned()))?;
        let mut parts = rest.split(':');
        let mut location = Self {
            format,
            path: parts.next().unwrap_or_default(),
            index: None,
        };
        for option in parts {
            match option.split_once('=') {
                // Of a Maildir Dovecot's index says nothing that its other files do not.
                Some(("INDEX", index)) if format == MailFormat::Maildir => {
                    location.index = Some(index);
                }
                Some(("LAYOUT", layout))
                    if format == MailFormat::Maildir
                        && layout.eq_ignore_ascii_case("maildir++") => {}
                _ => return Err(HomeError::Option(option.to_owned())),
            }
        }
        Ok(location)
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
            .map(|home| match home.format {
                MailFormat::Sdbox => home.path.display().to_string(),
                MailFormat::Maildir => format!("maildir:{}", home.path.display()),
            })
    }

    #[test]
    fn folder_of_all_homes_is_what_stands_before_the_variables() {
        let root = |template| HomeTemplate::parse(template).unwrap().root();
        for (template, expected) in [
            ("sdbox:/home/virtual/%d/%n", Some("/home/virtual")),
            ("/srv/mail-%u", Some("/srv")),
            ("/%d/%n", None),
            ("maildir:~/Maildir", None),
        ] {
            assert_eq!(root(template), expected.map(PathBuf::from), "{template}");
        }
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
    fn format_comes_with_the_path() {
        let ok = |path: &str| Ok(path.to_owned());
        for template in [
            "maildir:/srv/%n",
            "Maildir:/srv/%n:LAYOUT=maildir++",
            "maildir:/srv/%n:INDEX=/i/%u",
        ] {
            assert_eq!(resolve(template, None, None), ok("maildir:/srv/Bob"));
            assert_eq!(resolve(template, Some("/h"), None), ok("maildir:/h"));
            let mail = resolve(template, Some("/h"), Some("sdbox:~/m"));
            assert_eq!(mail, ok("/h/m"));
        }
        let below = resolve("maildir:~/Maildir", Some("/home/bob"), None);
        assert_eq!(below, ok("maildir:/home/bob/Maildir"));
        let mail = resolve("/srv/%u", None, Some("maildir:/m/%d"));
        assert_eq!(mail, ok("maildir:/m/example.org"));
    }

    #[test]
    fn unusable_templates_are_refused() {
        assert_eq!(
            resolve("mbox:/srv/%d/%n", None, None),
            Err(HomeError::Format("mbox".to_owned()))
        );
        for option in ["LAYOUT=fs", "CONTROL=/x", "INBOX=/x", "x"] {
            assert_eq!(
                resolve(&format!("maildir:/srv/%u:INDEX=/i:{option}"), None, None),
                Err(HomeError::Option(option.to_owned()))
            );
        }
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
