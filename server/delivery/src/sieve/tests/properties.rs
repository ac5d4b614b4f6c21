//! Whatever a script is, it is refused or it runs.

use std::sync::Arc;

use proptest::prelude::*;

use super::world::{Fake, MESSAGE, run_in};
use crate::{
    options::Options,
    sieve::{
        check,
        lexer::{Kind, tokens},
        rewrite::for_sieve_rs,
    },
};

/// Pieces of scripts, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "keep",
        "discard",
        "stop",
        "if",
        "elsif",
        "else",
        "true",
        "not",
        "anyof",
        "allof",
        "header",
        "address",
        "size",
        "exists",
        "string",
        "hasflag",
        "fileinto",
        "redirect",
        "set",
        "duplicate",
        "vacation",
        "notify",
        "include",
        "foreverypart",
        "break",
        "addheader",
        "body",
        "date",
        ":is",
        ":matches",
        ":regex",
        ":contains",
        ":comparator",
        ":over",
        ":flags",
        ":copy",
        ":handle",
        "\"a\"",
        "\"${a}\"",
        "\"${1}\"",
        "\"*\"",
        "\"\\\\\"",
        "\"subject\"",
        "\"a@b.c\"",
        "10K",
        "text:\na\n.\n",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        ",",
        ";",
        ";",
        ";",
        "# c\n",
        "/* c */",
        "\n",
        " ",
    ]);
    let requires = "require [\"fileinto\",\"variables\",\"imap4flags\",\"copy\",\"regex\",\"vacation\",\
        \"enotify\",\"include\",\"foreverypart\",\"mime\",\"editheader\",\"body\",\"date\",\"duplicate\"];";
    (any::<bool>(), prop::collection::vec(piece, 0..40)).prop_map(move |(required, pieces)| {
        let script = pieces.join(" ");
        match required {
            true => format!("{requires}\n{script}"),
            false => script,
        }
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_compile(script: Vec<u8>) {
        let _either = check(&script);
    }

    #[test]
    fn any_text_is_refused_or_compiles(script in "[a-z\"\\\\${}();:#/*.\\n ]{0,80}") {
        let _either = check(script.as_bytes());
    }

    #[test]
    fn any_script_that_compiles_runs(script in pieces()) {
        if check(script.as_bytes()).is_ok() {
            let _either = run_in(&Arc::new(Fake::default()), &Options::default(), &script, MESSAGE);
        }
    }

    #[test]
    fn rewriting_keeps_every_token_on_its_line(script in pieces()) {
        if let Ok(before) = tokens(script.as_bytes()) {
            let rewritten = for_sieve_rs(script.as_bytes(), &before, &|_| false);
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&rewritten), lines(script.as_bytes()));
            let after = tokens(&rewritten).unwrap();
            let marks = |all: &[_]| {
                let all = all.iter().map(|token: &crate::sieve::lexer::Token<'_>| {
                    (token.kind == Kind::Mark(b'{')).then_some(token.line)
                });
                all.flatten().collect::<Vec<_>>()
            };
            prop_assert_eq!(marks(&after), marks(&before));
        }
    }
}
