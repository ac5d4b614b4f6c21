//! Address lists as ENVELOPE shows them (RFC 9051 §7.5.2; RFC 5322 §3.4, §4.4).

use crate::{lexer::Lexer, nstring::push_nstring};

/// What stands for a domain that is missing: `NIL` would mean a group.
const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";
/// What stands for a local part that is missing.
const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";

/// Appends the addresses in an unfolded field value, each as `(name adl mailbox host)`, without
/// the parentheses around the list. Appends nothing when there is none.
pub(crate) fn push_addresses(out: &mut Vec<u8>, value: &[u8]) {
    let mut parser = AddressParser {
        lexer: Lexer::new(value),
        out,
        in_group: false,
        phrase: Vec::new(),
        run: Vec::new(),
        comment: None,
    };
    while parser.lexer.peek().is_some() {
        parser.address();
    }
    if parser.in_group {
        parser.out.extend_from_slice(b"(NIL NIL NIL NIL)");
    }
}

struct AddressParser<'a> {
    lexer: Lexer<'a>,
    out: &'a mut Vec<u8>,
    in_group: bool,
    /// Words of a display name so far.
    phrase: Vec<u8>,
    /// The last word with the dots that join it: a local part, if an `@` follows.
    run: Vec<u8>,
    /// The last comment: a name of old (`user@domain (Name)`).
    comment: Option<Vec<u8>>,
}

impl AddressParser<'_> {
    /// Reads one address, group start or group end with the separator after it.
    fn address(&mut self) {
        self.phrase.clear();
        self.run.clear();
        self.comment = None;
        let mut joined = false;
        loop {
            let spaced = self.lexer.skip_cfws_keeping_comment(&mut self.comment);
            match self.lexer.peek() {
                None | Some(b',' | b';') => return self.end_without_domain(),
                Some(b'<') => return self.angle(),
                Some(b':') if !self.in_group => return self.group(),
                Some(b'@') => return self.domain_after_run(),
                Some(b'.') => {
                    self.lexer.bump();
                    self.run.push(b'.');
                    joined = true;
                }
                Some(b'"') => {
                    self.begin_word(joined && !spaced);
                    self.lexer.quoted(&mut self.run);
                    joined = false;
                }
                Some(_) => {
                    self.begin_word(joined && !spaced);
                    match self.lexer.atom() {
                        // A special that has no business here.
                        [] => self.run.extend(self.lexer.bump()),
                        atom => self.run.extend_from_slice(atom),
                    }
                    joined = false;
                }
            }
        }
    }

    fn begin_word(&mut self, joined: bool) {
        if !joined {
            self.end_run();
        }
    }

    /// Moves the last word to the phrase.
    fn end_run(&mut self) {
        if self.run.is_empty() {
            return;
        }
        if !self.phrase.is_empty() {
            self.phrase.push(b' ');
        }
        self.phrase.append(&mut self.run);
    }

    /// Ends at a separator, no `@` seen.
    fn end_without_domain(&mut self) {
        let local = std::mem::take(&mut self.run);
        if !self.phrase.is_empty() {
            // Several words are a name without an address.
            self.run = local;
            self.end_run();
            let name = std::mem::take(&mut self.phrase);
            self.emit(Some(&name), None, b"", b"");
        } else if !local.is_empty() {
            let name = self.comment.take();
            self.emit(name.as_deref(), None, &local, b"");
        }
        self.separator();
    }

    fn group(&mut self) {
        self.lexer.bump();
        self.end_run();
        self.in_group = true;
        self.out.extend_from_slice(b"(NIL NIL ");
        push_nstring(self.out, Some(&self.phrase));
        self.out.extend_from_slice(b" NIL)");
    }

    fn domain_after_run(&mut self) {
        self.lexer.bump();
        let local = std::mem::take(&mut self.run);
        let host = self.domain();
        self.skip_junk();
        let phrase = std::mem::take(&mut self.phrase);
        let name = if phrase.is_empty() {
            self.comment.take()
        } else {
            Some(phrase)
        };
        self.emit(name.as_deref(), None, &local, &host);
        self.separator();
    }

    /// `angle-addr` with the route of old (`obs-angle-addr`).
    fn angle(&mut self) {
        self.lexer.bump();
        self.end_run();
        let name = std::mem::take(&mut self.phrase);
        self.lexer.skip_cfws();
        let mut route = Vec::new();
        if self.lexer.peek() == Some(b'@') {
            self.route(&mut route);
        }
        let mut local = Vec::new();
        let mut host = Vec::new();
        loop {
            self.lexer.skip_cfws();
            match self.lexer.peek() {
                None | Some(b'>' | b',' | b';') => break,
                Some(b'"') => self.lexer.quoted(&mut local),
                Some(b'@') => {
                    self.lexer.bump();
                    host = self.domain();
                    break;
                }
                Some(_) => match self.lexer.atom() {
                    [] => local.extend(self.lexer.bump()),
                    atom => local.extend_from_slice(atom),
                },
            }
        }
        // Whatever else stands before the closing bracket is no part of the address.
        self.lexer.take_while(|b| !matches!(b, b'>' | b',' | b';'));
        self.lexer.accept(b'>');
        self.comment = None;
        self.skip_junk();
        let name = if name.is_empty() {
            self.comment.take()
        } else {
            Some(name)
        };
        let route = Some(route).filter(|route| !route.is_empty());
        self.emit(name.as_deref(), route.as_deref(), &local, &host);
        self.separator();
    }

    /// `obs-route`: `@a,@b:`.
    fn route(&mut self, route: &mut Vec<u8>) {
        loop {
            self.lexer.skip_cfws();
            match self.lexer.peek() {
                Some(b'@') => {
                    self.lexer.bump();
                    if !route.is_empty() {
                        route.push(b',');
                    }
                    route.push(b'@');
                    let domain = self.domain();
                    route.extend_from_slice(&domain);
                }
                Some(b',') => {
                    self.lexer.bump();
                }
                Some(b':') => {
                    self.lexer.bump();
                    return;
                }
                _ => return,
            }
        }
    }

    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        loop {
            self.lexer.skip_cfws_keeping_comment(&mut self.comment);
            match self.lexer.peek() {
                Some(b'[') => {
                    let literal = self.lexer.take_while(|b| b != b']');
                    domain.extend_from_slice(literal);
                    domain.extend(self.lexer.bump());
                }
                Some(b'.') => {
                    self.lexer.bump();
                    domain.push(b'.');
                }
                _ => {
                    let last_is_dot = domain.last().is_none_or(|b| *b == b'.');
                    match self.lexer.clone().atom() {
                        [] => return domain,
                        _ if !last_is_dot => return domain,
                        _ => domain.extend_from_slice(self.lexer.atom()),
                    }
                }
            }
        }
    }

    /// Skips to the next separator.
    fn skip_junk(&mut self) {
        loop {
            self.lexer.skip_cfws_keeping_comment(&mut self.comment);
            match self.lexer.peek() {
                None | Some(b',' | b';') => return,
                Some(b'"') => self.lexer.quoted(&mut Vec::new()),
                Some(_) => {
                    self.lexer.bump();
                }
            }
        }
    }

    fn separator(&mut self) {
        if self.lexer.bump() == Some(b';') && self.in_group {
            self.in_group = false;
            self.out.extend_from_slice(b"(NIL NIL NIL NIL)");
        }
    }

    fn emit(&mut self, name: Option<&[u8]>, route: Option<&[u8]>, local: &[u8], host: &[u8]) {
        let or = |value: &'_ [u8], missing: &'static [u8]| match value {
            [] => missing.to_vec(),
            value => value.to_vec(),
        };
        self.out.push(b'(');
        push_nstring(self.out, name.filter(|name| !name.is_empty()));
        self.out.push(b' ');
        push_nstring(self.out, route);
        self.out.push(b' ');
        push_nstring(self.out, Some(&or(local, MISSING_MAILBOX)));
        self.out.push(b' ');
        push_nstring(self.out, Some(&or(host, MISSING_DOMAIN)));
        self.out.push(b')');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> String {
        let mut out = Vec::new();
        push_addresses(&mut out, value.as_bytes());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn common_forms_are_split() {
        for (value, expected) in [
            ("a@b.c", r#"(NIL NIL "a" "b.c")"#),
            (
                "Joe Q. Public <john.q@x.y>",
                r#"("Joe Q. Public" NIL "john.q" "x.y")"#,
            ),
            (
                r#""Doe, \"J\"" <j@x>, b@c"#,
                r#"("Doe, \"J\"" NIL "j" "x")(NIL NIL "b" "c")"#,
            ),
            ("john@x (John Doe)", r#"("John Doe" NIL "john" "x")"#),
            (r#""a b"@c"#, r#"(NIL NIL "a b" "c")"#),
            ("<@h1,@h2:a@b>", r#"(NIL "@h1,@h2" "a" "b")"#),
            ("a@[192.0.2.1]", r#"(NIL NIL "a" "[192.0.2.1]")"#),
            ("a @ c . d (x)", r#"("x" NIL "a" "c.d")"#),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }

    #[test]
    fn groups_are_bracketed_by_nil_hosts() {
        assert_eq!(
            list("A Group:Ed <e@x>,j@y;, z@z"),
            r#"(NIL NIL "A Group" NIL)("Ed" NIL "e" "x")(NIL NIL "j" "y")(NIL NIL NIL NIL)(NIL NIL "z" "z")"#
        );
        assert_eq!(
            list("undisclosed-recipients:;"),
            r#"(NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)"#
        );
        assert_eq!(
            list("g: a@b"),
            r#"(NIL NIL "g" NIL)(NIL NIL "a" "b")(NIL NIL NIL NIL)"#
        );
    }

    #[test]
    fn malformed_addresses_still_have_mailbox_and_host() {
        for (value, expected) in [
            ("", ""),
            (" , ,", ""),
            ("root", r#"(NIL NIL "root" "MISSING_DOMAIN")"#),
            ("A B", r#"("A B" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")"#),
            ("<>", r#"(NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")"#),
            ("@x", r#"(NIL NIL "MISSING_MAILBOX" "x")"#),
            ("N <a@b", r#"("N" NIL "a" "b")"#),
            (
                "N <a@b>, \"unclosed <c@d>",
                r#"("N" NIL "a" "b")(NIL NIL "unclosed <c@d>" "MISSING_DOMAIN")"#,
            ),
        ] {
            assert_eq!(list(value), expected, "{value}");
        }
    }
}
