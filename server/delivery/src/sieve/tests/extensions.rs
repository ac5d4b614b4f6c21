//! Every extension that is announced does something, and only when it is required.

use std::{collections::BTreeSet, sync::Arc};

use super::world::{Fake, MESSAGE, folders, run, run_in};
use crate::{
    options::Options,
    sieve::{Action, Run, Score, check, extensions, notify_methods},
};

/// What a script must do.
enum Must {
    /// A test that holds: the script is `if TEST { discard; }`.
    Hold(&'static str),
    /// A test that does not.
    Fail(&'static str),
    /// A whole script (without its requires), and what to see in its run.
    Do(&'static str, fn(&Run) -> bool),
}
use Must::{Do, Fail, Hold};

/// The message as the script left it.
fn changed(run: &Run) -> String {
    let version = run.keep.as_ref().and_then(|keep| keep.version.clone());
    String::from_utf8(version.expect("the message was not changed").to_vec()).unwrap()
}

fn filed(run: &Run, folder: &str, wanted: &[&str]) -> bool {
    run.actions.iter().any(|action| {
        matches!(action, Action::FileInto { folder: f, flags, .. } if f == folder && flags == wanted)
    })
}

fn flags(run: &Run) -> Vec<&str> {
    let keep = run.keep.iter().flat_map(|keep| &keep.flags);
    keep.map(String::as_str).collect()
}

fn reply(run: &Run) -> Option<String> {
    run.actions.iter().find_map(|action| match action {
        Action::Reply { message } | Action::Notify { message, .. } => {
            Some(String::from_utf8(message.to_vec()).unwrap())
        }
        _ => None,
    })
}

/// The extension, what else it takes, and what must be seen. `Hold`, `Fail` and `Do` fail without
/// the extension: the script is then refused, or (for the two that change how strings are read)
/// does something else.
const TABLE: &[(&str, &[&str], Must)] = &[
    (
        "fileinto",
        &[],
        Do("fileinto \"A\";", |run| folders(run) == ["A"]),
    ),
    (
        "reject",
        &[],
        Do("reject \"no\";", |run| run.reject.as_deref() == Some("no")),
    ),
    (
        "ereject",
        &[],
        Do("ereject \"no\";", |run| run.reject.as_deref() == Some("no")),
    ),
    (
        "envelope",
        &[],
        Hold("envelope :is \"from\" \"ann@example.net\""),
    ),
    (
        "envelope",
        &[],
        Fail("envelope :domain :is \"to\" \"example.net\""),
    ),
    (
        "encoded-character",
        &["fileinto"],
        Do("fileinto \"${hex:41 42}${unicode:e9}\";", |run| {
            folders(run) == ["AB\u{e9}"]
        }),
    ),
    (
        "variables",
        &["fileinto"],
        Do("set :upper \"a\" \"x${b}\"; fileinto \"${a}y\";", |run| {
            folders(run) == ["Xy"]
        }),
    ),
    (
        "variables",
        &["fileinto"],
        Do(
            "if header :matches \"subject\" \"* * *\" { fileinto \"${2}\"; }",
            |run| folders(run) == ["42"],
        ),
    ),
    ("variables", &[], Hold("string :is \"a\" \"A\"")),
    (
        "vacation",
        &[],
        Do(
            "vacation :subject \"Away\" \"until \u{e9}t\u{e9}\";",
            |run| {
                let reply = reply(run).unwrap();
                run.keep.is_some()
                    && reply.contains("To: <ann@example.net>\r\n")
                    && reply.contains("Subject: Away\r\n")
                    && run.memory.len() == 1
                    && run.memory[0].1 == 7 * 86_400
            },
        ),
    ),
    (
        "vacation",
        &[],
        Do(
            "vacation :days 3 :addresses \"x@y.z\" :handle \"h\" :from \"bob@example.com\" \"away\";",
            |run| {
                reply(run).unwrap().contains("From: <bob@example.com>\r\n")
                    && run.memory[0].1 == 3 * 86_400
            },
        ),
    ),
    (
        "vacation-seconds",
        &["vacation"],
        Do("vacation :seconds 172800 \"away\";", |run| {
            run.memory[0].1 == 172_800
        }),
    ),
    (
        "subaddress",
        &["envelope"],
        Hold("envelope :detail :is \"to\" \"lists\""),
    ),
    ("subaddress", &[], Hold("address :detail \"from\" \"news\"")),
    ("subaddress", &[], Hold("address :user \"from\" \"ann\"")),
    (
        "comparator-i;octet",
        &[],
        Fail("header :comparator \"i;octet\" :contains \"subject\" \"hello\""),
    ),
    (
        "comparator-i;ascii-casemap",
        &[],
        Hold("header :comparator \"i;ascii-casemap\" :contains \"subject\" \"hELLO\""),
    ),
    (
        "comparator-i;ascii-numeric",
        &["relational"],
        Hold("header :value \"gt\" :comparator \"i;ascii-numeric\" \"x-priority\" \"9\""),
    ),
    (
        "relational",
        &[],
        Hold("header :value \"gt\" \"subject\" \"aaa\""),
    ),
    (
        "relational",
        &[],
        Hold("address :count \"eq\" \"to\" \"1\""),
    ),
    (
        "regex",
        &[],
        Hold("header :regex \"subject\" \"^Hello [0-9]+ .*\""),
    ),
    (
        "regex",
        &["variables", "fileinto"],
        Do(
            "if header :regex \"subject\" \"(\\\\d+)\" { fileinto \"${1}\"; }",
            |run| folders(run) == ["42"],
        ),
    ),
    (
        "imap4flags",
        &[],
        Do(
            "setflag \"\\\\Seen\"; addflag [\"$Work\", \"x\"]; removeflag \"x\";",
            |run| flags(run) == ["\\Seen", "$Work"],
        ),
    ),
    (
        "imap4flags",
        &["fileinto"],
        Do("fileinto :flags [\"\\\\Flagged\", \"$A\"] \"A\";", |run| {
            filed(run, "A", &["\\Flagged", "$A"])
        }),
    ),
    (
        "imap4flags",
        &[],
        Do("keep :flags \"\\\\Seen\";", |run| flags(run) == ["\\Seen"]),
    ),
    (
        "imap4flags",
        &[],
        Do("addflag \"a\"; if hasflag \"a\" { discard; }", |run| {
            run.keep.is_none()
        }),
    ),
    (
        "copy",
        &["fileinto"],
        Do("fileinto :copy \"A\";", |run| folders(run) == ["A", "keep"]),
    ),
    (
        "copy",
        &[],
        Do("redirect :copy \"c@example.com\";", |run| {
            run.keep.is_some()
                && run.actions
                    == [Action::Redirect {
                        to: "c@example.com".to_owned(),
                        version: None,
                    }]
        }),
    ),
    (
        "include",
        &[],
        Do("include \"mine\"; include :global :once \"site\";", |run| {
            filed(run, "mine", &[]) && filed(run, "site", &[])
        }),
    ),
    (
        "include",
        &["variables", "fileinto"],
        Do(
            "global \"v\"; set \"v\" \"from main\"; include :personal \"reads-v\"; include :optional \"none\";",
            |run| folders(run) == ["from main"],
        ),
    ),
    (
        "include",
        &[],
        Do("include \"returns\"; discard;", |run| run.keep.is_none()),
    ),
    ("body", &[], Hold("body :contains \"NEEDLE\"")),
    (
        "body",
        &[],
        Hold("body :content \"text/plain\" :contains \"needle\""),
    ),
    ("body", &[], Hold("body :raw :contains \"--b\"")),
    ("body", &[], Fail("body :contains \"haystack\"")),
    (
        "enotify",
        &[],
        Do(
            "notify :importance \"1\" :message \"New\" \"mailto:bob@example.com\";",
            |run| {
                let text = reply(run).unwrap();
                run.keep.is_some()
                    && text.contains("To: <bob@example.com>\r\n")
                    && text.contains("Importance: High\r\n")
                    && text.contains("Subject: New\r\n")
                    && text.contains("Auto-Submitted: auto-notified")
            },
        ),
    ),
    (
        "enotify",
        &[],
        Hold("valid_notify_method \"mailto:a@example.com\""),
    ),
    (
        "enotify",
        &[],
        Fail("valid_notify_method \"xmpp:a@example.com\""),
    ),
    (
        "enotify",
        &[],
        Hold("notify_method_capability \"mailto:a@example.com\" \"online\" \"maybe\""),
    ),
    (
        "enotify",
        &["variables", "fileinto"],
        Do("set :encodeurl \"a\" \"x y\"; fileinto \"${a}\";", |run| {
            folders(run) == ["x%20y"]
        }),
    ),
    ("environment", &[], Hold("environment \"location\" \"MDA\"")),
    (
        "environment",
        &[],
        Hold("environment \"remote-ip\" \"192.0.2.7\""),
    ),
    (
        "environment",
        &[],
        Hold("environment \"domain\" \"example.org\""),
    ),
    ("environment", &[], Hold("environment \"name\" \"Facteur\"")),
    ("environment", &[], Hold("environment \"phase\" \"during\"")),
    (
        "environment",
        &[],
        Hold("environment :contains \"host\" \"localhost\""),
    ),
    ("mailbox", &[], Hold("mailboxexists [\"INBOX\", \"Spam\"]")),
    ("mailbox", &[], Fail("mailboxexists [\"Spam\", \"None\"]")),
    (
        "mailbox",
        &["fileinto"],
        Do("fileinto :create \"New\";", |run| {
            matches!(&run.actions[..], [Action::FileInto { create: true, .. }])
        }),
    ),
    ("special-use", &[], Hold("specialuse_exists \"\\\\Junk\"")),
    (
        "special-use",
        &[],
        Hold("specialuse_exists \"Spam\" \"\\\\Junk\""),
    ),
    ("special-use", &[], Fail("specialuse_exists \"\\\\Sent\"")),
    (
        "special-use",
        &["fileinto"],
        Do(
            "fileinto :specialuse \"\\\\Junk\" \"x\";",
            |run| matches!(&run.actions[..], [Action::FileInto { special_use: Some(u), .. }] if u == "\\Junk"),
        ),
    ),
    (
        "fcc",
        &["vacation", "imap4flags"],
        Do(
            "vacation :fcc \"Sent\" :flags \"\\\\Seen\" \"away\";",
            |run| {
                matches!(&run.actions[..], [Action::Reply { message }, Action::FileInto { folder, version: Some(copy), flags, .. }]
            if folder == "Sent" && copy == message && flags == &["\\Seen"])
            },
        ),
    ),
    (
        "fcc",
        &["enotify"],
        Do(
            "notify :fcc \"Sent\" \"mailto:a@example.com\";",
            |run| matches!(&run.actions[..], [Action::Notify { message, .. }, Action::FileInto { version: Some(copy), .. }] if copy == message),
        ),
    ),
    ("date", &[], Hold("date \"date\" \"year\" \"2020\"")),
    (
        "date",
        &[],
        Hold("date :zone \"+0000\" \"date\" \"hour\" \"08\""),
    ),
    (
        "date",
        &["relational"],
        Hold("currentdate :value \"ge\" \"year\" \"2024\""),
    ),
    (
        "index",
        &[],
        Hold("header :index 1 :contains \"received\" \"mx.example.net\""),
    ),
    (
        "index",
        &[],
        Fail("header :index 2 :contains \"received\" \"mx.example.net\""),
    ),
    (
        "duplicate",
        &[],
        Do("if duplicate { discard; }", |run| {
            run.keep.is_some() && run.memory.len() == 1
        }),
    ),
    (
        "duplicate",
        &["variables"],
        Do(
            "if duplicate :seconds 60 :handle \"h\" :uniqueid \"u\" { discard; }",
            |run| run.memory[0].1 == 60,
        ),
    ),
    (
        "editheader",
        &[],
        Do(
            "addheader \"X-New\" \"value\"; deleteheader \"Subject\";",
            |run| {
                let text = changed(run);
                text.starts_with("X-New: value\r\n")
                    && !text.contains("Subject:")
                    && text.contains("needle")
            },
        ),
    ),
    (
        "editheader",
        &[],
        Do("deleteheader \"received\"; keep;", |run| {
            run.keep.as_ref().unwrap().version.is_none()
        }),
    ),
    ("ihave", &[], Hold("ihave \"fileinto\"")),
    ("ihave", &[], Fail("ihave \"vnd.none\"")),
    ("ihave", &[], Fail("ihave \"imapsieve\"")),
    (
        "ihave",
        &[],
        Do("if ihave \"vnd.none\" { frobnicate \"x\"; }", |run| {
            run.keep.is_some()
        }),
    ),
    (
        "mime",
        &[],
        Hold("header :mime :anychild :contenttype \"content-type\" \"image/png\""),
    ),
    (
        "mime",
        &[],
        Fail("header :mime :contenttype \"content-type\" \"image/png\""),
    ),
    (
        "foreverypart",
        &["mime"],
        Do(
            "foreverypart { if header :mime :type \"content-type\" \"image\" { discard; } }",
            |run| run.keep.is_none(),
        ),
    ),
    (
        "extracttext",
        &["mime", "foreverypart", "variables", "fileinto"],
        Do(
            "foreverypart { if header :mime :type \"content-type\" \"text\" { extracttext :first 8 \"t\"; fileinto \"${t}\"; } }",
            |run| folders(run) == ["The body"],
        ),
    ),
    (
        "replace",
        &["mime", "foreverypart"],
        Do(
            "foreverypart { if header :mime :type \"content-type\" \"image\" { replace \"gone\"; } }",
            |run| {
                let text = changed(run);
                text.contains("gone") && !text.contains("PNG") && text.contains("needle")
            },
        ),
    ),
    (
        "enclose",
        &[],
        Do("enclose :subject \"Wrapped\" \"see below\";", |run| {
            let text = changed(run);
            text.contains("Subject: Wrapped\r\n")
                && text.contains("see below")
                && text.contains("message/rfc822")
                && text.contains("needle")
        }),
    ),
    (
        "spamtest",
        &["relational", "comparator-i;ascii-numeric"],
        Hold("spamtest :value \"eq\" :comparator \"i;ascii-numeric\" \"7\""),
    ),
    (
        "spamtestplus",
        &["relational", "comparator-i;ascii-numeric"],
        Hold("spamtest :percent :value \"eq\" :comparator \"i;ascii-numeric\" \"70\""),
    ),
    (
        "virustest",
        &["relational", "comparator-i;ascii-numeric"],
        Hold("virustest :value \"eq\" :comparator \"i;ascii-numeric\" \"5\""),
    ),
];

fn options() -> Options {
    let mut options = Options::default();
    options.sieve.spamtest = Some(Score::number("X-Spam-Score", 10.0).unwrap());
    options.sieve.virustest =
        Some(Score::text("X-Virus", vec![(5, "Infected".to_owned())]).unwrap());
    options
}

fn world() -> Arc<Fake> {
    let script = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    Arc::new(Fake {
        scripts: [
            script("mine", "require \"fileinto\"; fileinto \"mine\";"),
            script("site", "require \"fileinto\"; fileinto \"site\";"),
            script("returns", "require \"include\"; return; stop;"),
            script(
                "reads-v",
                "require [\"include\", \"variables\", \"fileinto\"]; global \"v\"; fileinto \"${v}\";",
            ),
        ]
        .into(),
        ..Fake::default()
    })
}

fn script(requires: &[&str], body: &str) -> String {
    let list: Vec<_> = requires.iter().map(|name| format!("\"{name}\"")).collect();
    match list.as_slice() {
        [] => body.to_owned(),
        list => format!("require [{}]; {body}", list.join(", ")),
    }
}

/// Whether what must be seen is seen.
fn seen(requires: &[&str], must: &Must) -> bool {
    let run = |body: &str| {
        let script = script(requires, body);
        run_in(&world(), &options(), &script, MESSAGE)
            .unwrap_or_else(|fault| panic!("{fault}: {script}"))
    };
    match must {
        Hold(test) => run(&format!("if {test} {{ discard; }}")).keep.is_none(),
        Fail(test) => run(&format!("if {test} {{ discard; }}")).keep.is_some(),
        Do(body, wanted) => wanted(&run(body)),
    }
}

fn body(must: &Must) -> String {
    match must {
        Hold(test) | Fail(test) => format!("if {test} {{ discard; }}"),
        Do(body, _) => (*body).to_owned(),
    }
}

#[test]
fn each_extension_does_what_it_is_for() {
    for (extension, others, must) in TABLE {
        let requires: Vec<&str> = others.iter().copied().chain([*extension]).collect();
        assert!(seen(&requires, must), "{extension}: {}", body(must));
    }
}

#[test]
fn each_extension_is_refused_or_does_nothing_when_it_is_not_required() {
    // The two comparators that every implementation has need no require (RFC 5228 §2.7.3).
    let always = ["comparator-i;octet", "comparator-i;ascii-casemap"];
    let mut needless = Vec::new();
    for (extension, others, must) in TABLE {
        let script = script(others, &body(must));
        let refused = check(script.as_bytes()).is_err();
        if !refused && !always.contains(extension) && seen(others, must) {
            needless.push((extension, script));
        }
    }
    assert!(needless.is_empty(), "{needless:#?}");
}

#[test]
fn announced_extensions_are_those_tested() {
    let tested: BTreeSet<&str> = TABLE.iter().map(|(extension, ..)| *extension).collect();
    let announced: BTreeSet<&str> = extensions().iter().copied().collect();
    assert_eq!(announced.len(), extensions().len());
    assert_eq!(tested, announced);
    let seed = "comparator-i;octet comparator-i;ascii-casemap fileinto reject envelope \
        encoded-character vacation subaddress comparator-i;ascii-numeric relational regex \
        imap4flags copy include variables body enotify environment mailbox date spamtest \
        spamtestplus virustest";
    for name in seed.split_whitespace() {
        assert!(announced.contains(name), "{name}");
    }
    assert_eq!(notify_methods(), ["mailto"]);
}

#[test]
fn vacation_replies_once_and_never_to_lists_robots_or_strangers() {
    let world = world();
    let script = "require \"vacation\"; vacation \"away\";";
    assert!(reply(&run(&world, script)).is_some());
    assert!(reply(&run(&world, script)).is_none());
    let field =
        |field: &str| MESSAGE.replacen("MIME-Version", &format!("{field}\r\nMIME-Version"), 1);
    for message in [
        field("List-Id: <l.example.net>"),
        field("Precedence: bulk"),
        field("Precedence: list"),
        field("Auto-Submitted: auto-generated"),
        MESSAGE.replace("To: Bob <bob@example.org>", "To: all@example.org"),
    ] {
        let fresh = Arc::new(Fake::default());
        let run = run_in(&fresh, &Options::default(), script, &message).unwrap();
        assert_eq!((reply(&run), run.memory.len()), (None, 0), "{message}");
    }
}

#[test]
fn vacation_runs_once_in_a_run() {
    let script =
        "require \"vacation\"; vacation :handle \"a\" \"x\"; vacation :handle \"b\" \"y\";";
    assert_eq!(run(&world(), script).actions.len(), 1);
}

#[test]
fn notify_is_silent_about_automatic_mail() {
    let script = "require \"enotify\"; notify \"mailto:bob@example.com\";";
    let message = MESSAGE.replace(
        "MIME-Version",
        "Auto-Submitted: auto-replied\r\nMIME-Version",
    );
    let run = run_in(&world(), &Options::default(), script, &message).unwrap();
    assert!(run.actions.is_empty());
}

#[test]
fn duplicate_is_true_the_second_time() {
    let world = world();
    let script = "require \"duplicate\"; if duplicate { discard; }";
    assert!(run(&world, script).keep.is_some());
    assert!(run(&world, script).keep.is_none());
}

#[test]
fn message_id_cannot_pass_for_a_vacation_key() {
    let message = MESSAGE.replace("<1@example.net>", "<_vann@example.netaway>");
    let script = "require [\"duplicate\", \"vacation\"]; if duplicate { stop; } vacation \"away\";";
    let run = run_in(&world(), &Options::default(), script, &message).unwrap();
    assert_eq!(run.memory.len(), 2);
    assert!(reply(&run).is_some());
}

#[test]
fn reject_with_another_action_is_a_fault() {
    for script in [
        "require [\"reject\", \"fileinto\"]; fileinto \"A\"; reject \"no\";",
        "require \"reject\"; reject \"no\"; keep;",
    ] {
        assert!(
            run_in(&world(), &Options::default(), script, MESSAGE).is_err(),
            "{script}"
        );
    }
}
