//! Mailbox names with wildcards (RFC 3501 §6.3.8).

use crate::Namespace;

/// Longest pattern, in characters. No name is longer than 4096 octets.
const MAX_LEN: usize = 4096;

/// A pattern: `*` is anything, `%` anything but a separator.
#[derive(Debug)]
pub(crate) struct Pattern {
    text: String,
    tokens: Vec<Token>,
    /// Characters that any name must have.
    least: usize,
    separator: char,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    AnyInLevel,
    Char(char),
}

impl Pattern {
    /// `None` when it is too long.
    pub(crate) fn parse(text: &str, separator: char) -> Option<Self> {
        let mut tokens = Vec::with_capacity(text.len());
        for c in text.chars() {
            let token = match c {
                '*' => Token::Any,
                '%' => Token::AnyInLevel,
                c => Token::Char(c),
            };
            // Runs of wildcards say no more than one, the widest.
            match (tokens.last_mut(), token) {
                (Some(Token::Any), Token::Any | Token::AnyInLevel)
                | (Some(Token::AnyInLevel), Token::AnyInLevel) => {}
                (Some(last @ Token::AnyInLevel), Token::Any) => *last = Token::Any,
                _ => tokens.push(token),
            }
        }
        let is_char = |token: &&Token| matches!(token, Token::Char(_));
        (tokens.len() <= MAX_LEN).then(|| Self {
            text: text.to_owned(),
            least: tokens.iter().filter(is_char).count(),
            tokens,
            separator,
        })
    }

    /// Whether names of `namespace` are to be shown: of one that LIST leaves out, only when the
    /// client spells its prefix.
    pub(crate) fn reaches(&self, namespace: &Namespace) -> bool {
        namespace.list
            || (!namespace.prefix.is_empty()
                && self
                    .text
                    .get(..namespace.prefix.len())
                    .is_some_and(|head| head.eq_ignore_ascii_case(&namespace.prefix)))
    }

    /// Whether `name` fits. Time is the product of both lengths at most, whatever the wildcards.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if name.len() < self.least {
            return false;
        }
        // `live[i]`: the tokens before i fit what was read so far.
        let mut live = vec![false; self.tokens.len() + 1];
        if let Some(first) = live.first_mut() {
            *first = true;
        }
        self.skip_wildcards(&mut live);
        // The first level INBOX has no case (RFC 3501 §5.1).
        let inbox = name == "INBOX"
            || name
                .strip_prefix("INBOX")
                .is_some_and(|rest| rest.starts_with(self.separator));
        for (at, c) in name.chars().enumerate() {
            let mut next = vec![false; live.len()];
            let fold = inbox && at < 5;
            for (i, token) in self.tokens.iter().enumerate() {
                if !live.get(i).copied().unwrap_or(false) {
                    continue;
                }
                let stays = match token {
                    Token::Any => true,
                    Token::AnyInLevel => c != self.separator,
                    Token::Char(_) => false,
                };
                let moves = match token {
                    Token::Char(own) if fold => own.eq_ignore_ascii_case(&c),
                    Token::Char(own) => *own == c,
                    _ => false,
                };
                if let (true, Some(slot)) = (stays, next.get_mut(i)) {
                    *slot = true;
                }
                if let (true, Some(slot)) = (moves, next.get_mut(i + 1)) {
                    *slot = true;
                }
            }
            self.skip_wildcards(&mut next);
            live = next;
        }
        live.last().copied().unwrap_or(false)
    }

    /// A wildcard may stand for nothing.
    fn skip_wildcards(&self, live: &mut [bool]) {
        for (i, token) in self.tokens.iter().enumerate() {
            let is_live = live.get(i).copied().unwrap_or(false);
            if is_live
                && !matches!(token, Token::Char(_))
                && let Some(slot) = live.get_mut(i + 1)
            {
                *slot = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Pattern::parse(pattern, '/').unwrap().matches(name)
    }

    #[test]
    fn wildcards_stop_at_separators_or_not() {
        assert!(matches("*", "a/b/c"));
        assert!(matches("%", "a"));
        assert!(!matches("%", "a/b"));
        assert!(matches("a/%", "a/b"));
        assert!(!matches("a/%", "a/b/c"));
        assert!(matches("a/*c", "a/b/c"));
        assert!(matches("%/%", "a/b"));
        assert!(matches("a%%*b", "ab"));
        assert!(!matches("a", "A"));
        assert!(matches("*é*", "caf\u{e9}s"));
        assert!(!matches("", "a"));
    }

    #[test]
    fn inbox_has_no_case() {
        assert!(matches("inbox", "INBOX"));
        assert!(matches("InBoX/a", "INBOX/a"));
        assert!(!matches("InBoX/A", "INBOX/a"));
        assert!(!matches("inboxes", "INBOXES"));
    }

    #[test]
    fn many_wildcards_cost_no_more_than_their_number() {
        let pattern = "a*".repeat(500);
        let name = "a".repeat(4000);
        assert!(matches(&pattern, &name));
        assert!(!matches(&format!("{pattern}b"), &name));
        assert!(Pattern::parse(&"a%".repeat(5000), '/').is_none());
    }

    #[test]
    fn unlisted_namespace_wants_its_prefix_spelt() {
        let hidden = Namespace {
            prefix: "INBOX/".into(),
            list: false,
            ..Namespace::default()
        };
        let reaches = |text: &str| Pattern::parse(text, '/').unwrap().reaches(&hidden);
        assert!(reaches("INBOX/%"));
        assert!(reaches("inbox/Tra*"));
        assert!(!reaches("*"));
        assert!(!reaches("INBOX*"));
    }
}
