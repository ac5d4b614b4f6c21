//! The base language (RFC 5228), and what sieve-rs needs help with.

use std::sync::Arc;

use super::world::{Fake, MESSAGE, folders, run, run_in};
use crate::{
    options::Options,
    sieve::{Action, Fault, check},
};

fn filed(script: &str) -> Vec<String> {
    let run = run(&Arc::new(Fake::default()), script);
    folders(&run).into_iter().map(str::to_owned).collect()
}

#[test]
fn implicit_keep_is_cancelled_as_the_rfc_says() {
    assert_eq!(filed(""), ["keep"]);
    assert_eq!(filed("discard;"), Vec::<String>::new());
    assert_eq!(filed("require \"fileinto\"; fileinto \"A\";"), ["A"]);
    assert_eq!(filed("stop; discard;"), ["keep"]);
}

#[test]
fn explicit_keep_is_not_undone() {
    assert_eq!(filed("keep; discard;"), ["keep"]);
    assert_eq!(
        filed("require \"fileinto\"; KEEP; fileinto \"A\";"),
        ["A", "keep"]
    );
    assert_eq!(
        filed("require \"fileinto\"; fileinto \"A\"; keep;"),
        ["A", "keep"]
    );
    assert_eq!(filed("if true { keep; } discard;"), ["keep"]);
}

#[test]
fn tests_and_control_work() {
    for (test, expected) in [
        ("header :is \"subject\" \"hello 42 WORLD\"", true),
        ("header :contains [\"x\", \"Subject\"] \"42\"", true),
        ("header :matches \"subject\" \"h?llo*d\"", true),
        ("address :domain \"from\" \"example.net\"", true),
        ("address :localpart \"to\" \"bob\"", true),
        ("exists [\"from\", \"to\"]", true),
        ("exists \"x-none\"", false),
        ("not exists \"x-none\"", true),
        ("size :over 100", true),
        ("size :over 1M", false),
        ("size :under 1K", true),
        ("anyof (false, true)", true),
        ("allof (false, true)", false),
        (
            "header :is \"delivered-to\" \"bob+lists@example.org\"",
            true,
        ),
        ("header :contains \"received\" \"mx.example.net\"", true),
    ] {
        let script = format!("if {test} {{ discard; }} else {{ keep; }}");
        assert_eq!(filed(&script).is_empty(), expected, "{test}");
    }
}

#[test]
fn size_counts_the_whole_message_of_a_header_only_script() {
    let message = format!("{MESSAGE}{}", "x".repeat(100_000));
    let (world, options) = (Arc::new(Fake::default()), Options::default());
    let run = run_in(
        &world,
        &options,
        "if size :over 100000 { discard; }",
        &message,
    )
    .unwrap();
    assert_eq!(run.keep, None);
}

#[test]
fn strings_read_as_the_rfc_says() {
    for (string, text) in [
        (r#""a\\""#, "a\\"),
        (r#""a\\b\\""#, "a\\b\\"),
        (r#""\\\\n""#, "\\\\n"),
        (r#""\n""#, "n"),
        (r#""\"q\"""#, "\"q\""),
        ("\"${a}\"", "${a}"),
        ("\"${hex:41}\"", "${hex:41}"),
        ("text:\r\n${a}\r\n.\r\n", "${a}\r\n"),
    ] {
        let script = format!("require \"fileinto\"; fileinto {string};");
        assert_eq!(filed(&script), [text], "{string}");
    }
}

#[test]
fn wrong_scripts_are_refused_with_their_line() {
    for (line, script) in [
        (2, "require \"fileinto\";\nrequire [\"copy\", \"pipe\"];"),
        (2, "keep;\nrequire \"copy\";"),
        (3, "keep;\n\nfrobnicate;"),
        (2, "keep;\nfileinto \"x\";"),
        (2, "# ok\nif header :is \"a\" { keep; }"),
        (1, "keep"),
        (2, "if true {\nkeep }"),
        (
            2,
            "keep;\nif header :comparator \"i;none\" \"a\" \"b\" { stop; }",
        ),
        (2, "keep;\n\"never ends"),
        (2, "keep;\n/* never ends"),
        (2, "keep;\nif true {"),
        (
            2,
            "require \"regex\";\nif header :regex \"subject\" \"(\" { stop; }",
        ),
        (1, "require \"vnd.stalwart.expressions\"; eval \"1\";"),
        (1, "require \"mboxmetadata\";"),
        (2, "keep;\n\u{e9}"),
    ] {
        let error = check(script.as_bytes()).expect_err(script);
        assert_eq!(error.line, line, "{script}: {error}");
    }
    assert_eq!(check(b"keep;\n\"\xff\";").unwrap_err().line, 2);
    assert!(check(&b"#".repeat(2 << 20)).is_err());
    let near = check(b"require \"fileInto\";").unwrap_err();
    assert!(near.message.contains("is \"fileinto\" meant"), "{near}");
}

#[test]
fn limits_stop_a_script_that_does_too_much() {
    let (world, mut options) = (Arc::new(Fake::default()), Options::default());
    let fault = |options: &Options, script: &str| {
        matches!(
            run_in(&world, options, script, MESSAGE),
            Err(Fault::Script(_))
        )
    };
    let files: String = (0..40).map(|n| format!("fileinto \"{n}\";")).collect();
    assert!(fault(&options, &format!("require \"fileinto\"; {files}")));
    options.sieve.max_instructions = 10;
    assert!(fault(&options, &"if true { keep; }".repeat(20)));
}

#[test]
fn redirects_beyond_the_limit_keep_the_message() {
    let redirects: String = (0..6)
        .map(|n| format!("redirect \"a{n}@example.com\";"))
        .collect();
    let run = run(&Arc::new(Fake::default()), &redirects);
    let sent = run
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Redirect { .. }));
    assert_eq!(sent.count(), 4);
}

#[test]
fn memory_that_is_short_or_too_little_is_told_apart() {
    let (world, mut options) = (Arc::new(Fake::default()), Options::default());
    options.sieve.memory = 100;
    let script = "require \"body\"; if body :contains \"x\" { discard; }";
    let fault = run_in(&world, &options, script, MESSAGE);
    assert!(matches!(fault, Err(Fault::TooLarge)), "{fault:?}");
    assert!(run_in(&world, &options, "if size :over 1 { discard; }", MESSAGE).is_ok());
}

#[test]
fn deep_and_large_patterns_are_refused_or_run() {
    for pattern in [
        "(".repeat(100_000) + &")".repeat(100_000),
        "(?:".repeat(50_000) + &")".repeat(50_000),
        "(?=".repeat(50_000) + &")".repeat(50_000),
        "[".repeat(100_000),
        "a{1000}{1000}{1000}".to_owned(),
        "(a*)*".repeat(20_000),
        "a|".repeat(50_000),
        "\\\\1".repeat(50_000),
    ] {
        let script =
            format!("require \"regex\"; if header :regex \"subject\" \"{pattern}\" {{ stop; }}");
        if check(script.as_bytes()).is_ok() {
            run(&Arc::new(Fake::default()), &script);
        }
    }
    let deep = "if not ".repeat(100_000);
    assert!(check(deep.as_bytes()).is_err());
    let deep = "if true {".repeat(100_000);
    assert!(check(deep.as_bytes()).is_err());
    let deep = format!("if anyof ({}", "anyof (".repeat(100_000));
    assert!(check(deep.as_bytes()).is_err());
}
