//! Commands on the wire.

use facteur_address::Address;
use facteur_wire::Secret;
use proptest::prelude::*;

use super::*;

fn mail(line: &str) -> Mail {
    match Command::parse(line.as_bytes()) {
        Ok(Command::Mail(mail)) => mail,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn verbs_and_keywords_are_case_insensitive() {
    let expected = Command::parse(b"MAIL FROM:<a@b.example> SIZE=1 BODY=8BITMIME").unwrap();
    assert_eq!(
        Command::parse(b"mail from:<a@b.example> size=1 body=8bitmime  "),
        Ok(expected)
    );
}

#[test]
fn null_reverse_path_is_none() {
    assert_eq!(mail("MAIL FROM:<>").reverse_path, None);
}

#[test]
fn source_route_is_dropped() {
    let expected = Some(Address::parse("c@d.example").unwrap());
    let line = "MAIL FROM:<@a.example,@b.example:c@d.example>";
    assert_eq!(mail(line).reverse_path, expected);
}

#[test]
fn quoted_local_part_may_hold_brackets_and_blanks() {
    let address = mail("MAIL FROM: <\"a> b\\\"\"@c.example> SIZE=2")
        .reverse_path
        .unwrap();
    assert_eq!(address.local(), "a> b\"");
}

#[test]
fn size_beyond_64_bits_is_enormous_not_malformed() {
    assert_eq!(
        mail("MAIL FROM:<> SIZE=99999999999999999999").size,
        Some(u64::MAX)
    );
}

#[test]
fn postmaster_needs_no_domain() {
    for line in ["RCPT TO:<Postmaster>", "rcpt to: <postmaster>"] {
        let expected = Rcpt {
            forward_path: ForwardPath::Postmaster,
        };
        assert_eq!(Command::parse(line.as_bytes()), Ok(Command::Rcpt(expected)));
    }
}

#[test]
fn malformed_commands_are_refused_with_the_right_kind() {
    use CommandError::{ForeignProtocol, ForwardPath, NotAscii, Parameter, ReversePath, Unknown};
    let cases: &[(&[u8], CommandError)] = &[
        (b"", Unknown),
        (b"FOO", Unknown),
        (b"\xff\xfe", Unknown),
        (b"GET / HTTP/1.1", ForeignProtocol),
        (b"MAIL FROM:<a>", ReversePath),
        (b"MAIL FROM:<a@b> RET=HDRS", Parameter),
        (b"MAIL FROM:<a@b> SIZE", Parameter),
        (b"MAIL FROM:<a@b> SIZE=1 SIZE=2", Parameter),
        (b"RCPT TO:<a@>", ForwardPath),
        (b"RCPT TO:<>", ForwardPath),
        (b"RCPT TO:<a@b> NOTIFY=NEVER", Parameter),
        ("RCPT TO:<\u{e9}@b>".as_bytes(), NotAscii),
        (b"RCPT TO:<\xff@b>", NotAscii),
    ];
    for (line, error) in cases {
        assert_eq!(Command::parse(line), Err(*error), "{}", line.escape_ascii());
    }
    for line in [
        "MAIL",
        "MAIL FROM",
        "MAIL FROM:a@b",
        "MAIL FROM:<a@b",
        "MAIL FROM:<a@b>x",
        "MAIL TO:<a@b>",
        "MAIL FROM:<a\0@b>",
        "RCPT TO:<a@b",
        "BDAT",
        "BDAT -1",
        "BDAT 1 FIRST",
        "BDAT +1",
        "BDAT 99999999999999999999",
        "EHLO",
        "EHLO a b",
        "RSET now",
        "DATA x",
        "AUTH",
        "AUTH PL@IN",
        "AUTH PLAIN a b",
        "VRFY",
        "MAIL FROM:<a@b> SIZE=x",
    ] {
        let parsed = Command::parse(line.as_bytes());
        assert!(
            matches!(parsed, Err(CommandError::Syntax(_))),
            "{line}: {parsed:?}"
        );
    }
}

#[test]
fn path_over_256_octets_is_refused() {
    let domain = ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join(".");
    let line = format!("RCPT TO:<{}@{domain}>", "x".repeat(80));
    assert!(Command::parse(line.as_bytes()).is_err());
}

#[test]
fn secret_of_auth_is_not_printed() {
    let command = Command::parse(b"AUTH PLAIN AHVzZXIAcGFzcw==").unwrap();
    assert!(!format!("{command:?}").contains("AHVzZXI"));
}

fn address() -> impl Strategy<Value = Address> {
    let local = prop_oneof!["[a-z0-9.+ \"\\\\@<>,:-]{1,20}", "[a-z]{1,8}"];
    (local, "[a-z]{1,8}(\\.[a-z]{1,5}){0,2}").prop_map(|(local, domain)| {
        let domain = facteur_address::Domain::parse(&domain).unwrap();
        Address::from_parts(&local, domain).unwrap()
    })
}

fn command() -> impl Strategy<Value = Command> {
    let body = prop::option::of(prop::sample::select(vec![
        BodyType::SevenBit,
        BodyType::EightBitMime,
    ]));
    let mail = (
        prop::option::of(address()),
        prop::option::of(any::<u64>()),
        body,
    )
        .prop_map(|(reverse_path, size, body)| {
            Command::Mail(Mail {
                size,
                body,
                ..Mail::new(reverse_path)
            })
        });
    let rcpt = address().prop_map(|address| {
        Command::Rcpt(Rcpt {
            forward_path: ForwardPath::Address(address),
        })
    });
    let auth = ("[A-Z0-9-]{1,20}", prop::option::of("[A-Za-z0-9+/]{1,30}=?")).prop_map(
        |(mechanism, response)| {
            let initial_response = response.map(|text| Secret::new(text.into_bytes()));
            Command::Auth(Auth {
                mechanism,
                initial_response,
            })
        },
    );
    prop_oneof![
        mail,
        rcpt,
        auth,
        (any::<u64>(), any::<bool>()).prop_map(|(size, last)| Command::Bdat(Bdat { size, last })),
        "[!-~]{1,40}".prop_map(Command::Ehlo),
        "[!-~]{1,40}".prop_map(Command::Vrfy),
        Just(Command::Data),
        Just(Command::Quit),
        Just(Command::StartTls),
    ]
}

proptest! {
    #[test]
    fn parse_inverts_encode(command in command()) {
        let mut wire = BytesMut::new();
        command.encode(&mut wire);
        let line = wire.strip_suffix(b"\r\n").unwrap();
        prop_assert_eq!(Command::parse(line), Ok(command));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(line in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(command) = Command::parse(&line) {
            let mut wire = BytesMut::new();
            command.encode(&mut wire);
            let again = wire.strip_suffix(b"\r\n").unwrap();
            prop_assert_eq!(Command::parse(again), Ok(command));
        }
    }
}
