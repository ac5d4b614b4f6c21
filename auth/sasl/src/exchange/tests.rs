use proptest::prelude::*;

use super::*;

fn credentials(authorization: &str, authentication: &str, password: &str) -> Credentials {
    Credentials {
        authorization_identity: authorization.to_owned(),
        authentication_identity: authentication.to_owned(),
        password: Secret::new(password.as_bytes().to_vec()),
    }
}

fn begin(mechanism: Mechanism, initial: Option<&str>) -> Result<Step, SaslError> {
    let initial = initial.map(str::as_bytes);
    Exchange::begin(mechanism, initial).map(|(_, step)| step)
}

#[test]
fn rfc4616_4_plain_examples_give_credentials() {
    let message = BASE64.encode("\0tim\0tanstaaftanstaaf");
    assert_eq!(
        begin(Mechanism::Plain, Some(&message)),
        Ok(Step::Done(credentials("", "tim", "tanstaaftanstaaf")))
    );
    let message = BASE64.encode("Ursel\0Kurt\0xipj3plmq");
    let (mut exchange, step) = Exchange::begin(Mechanism::Plain, None).unwrap();
    assert_eq!(step, Step::Challenge(String::new()));
    assert_eq!(
        exchange.respond(message.as_bytes()),
        Ok(Step::Done(credentials("Ursel", "Kurt", "xipj3plmq")))
    );
}

#[test]
fn login_prompts_for_name_then_password() {
    let (mut exchange, step) = Exchange::begin(Mechanism::Login, None).unwrap();
    assert_eq!(step, Step::Challenge("VXNlcm5hbWU6".to_owned()));
    assert_eq!(
        exchange.respond(b"dGlt"),
        Ok(Step::Challenge("UGFzc3dvcmQ6".to_owned()))
    );
    assert_eq!(
        exchange.respond(b"c2VjcmV0"),
        Ok(Step::Done(credentials("", "tim", "secret")))
    );
}

#[test]
fn login_with_initial_response_asks_for_the_password_at_once() {
    assert_eq!(
        begin(Mechanism::Login, Some("dGlt")),
        Ok(Step::Challenge("UGFzc3dvcmQ6".to_owned()))
    );
}

#[test]
fn star_cancels_and_spends_the_exchange() {
    let (mut exchange, _) = Exchange::begin(Mechanism::Plain, None).unwrap();
    assert_eq!(exchange.respond(b"*"), Err(SaslError::Cancelled));
    let message = BASE64.encode("\0tim\0secret");
    assert_eq!(
        exchange.respond(message.as_bytes()),
        Err(SaslError::Malformed)
    );
}

#[test]
fn malformed_responses_are_refused() {
    let cases: [(&str, SaslError); 9] = [
        ("not base64!", SaslError::Base64),
        ("dGlt dGlt", SaslError::Base64),
        ("=", SaslError::Malformed),
        ("", SaslError::Malformed),
        ("dGlt", SaslError::Malformed),
        (&BASE64.encode("\0tim\0"), SaslError::Malformed),
        (&BASE64.encode("\0\0secret"), SaslError::Malformed),
        (&BASE64.encode("\0tim\0a\0b"), SaslError::Malformed),
        (&BASE64.encode("\0ti\r\nm\0secret"), SaslError::Malformed),
    ];
    for (text, error) in cases {
        assert_eq!(begin(Mechanism::Plain, Some(text)), Err(error), "{text}");
    }
    let not_utf8 = BASE64.encode(b"\0t\xffm\0secret");
    assert_eq!(
        begin(Mechanism::Plain, Some(&not_utf8)),
        Err(SaslError::Malformed)
    );
    let long = "A".repeat(MAX_RESPONSE_LEN + 1);
    assert_eq!(
        begin(Mechanism::Plain, Some(&long)),
        Err(SaslError::TooLong)
    );
}

#[test]
fn password_outside_utf8_is_kept_as_octets() {
    let message = BASE64.encode(b"\0tim\0caf\xe9");
    let Ok(Step::Done(credentials)) = begin(Mechanism::Plain, Some(&message)) else {
        unreachable!("a Latin-1 password is a password")
    };
    assert_eq!(credentials.password.expose(), b"caf\xe9");
}

#[test]
fn missing_padding_is_accepted() {
    let message = BASE64.encode("\0tim\0pw");
    assert_eq!(
        begin(Mechanism::Plain, Some(message.trim_end_matches('='))),
        Ok(Step::Done(credentials("", "tim", "pw")))
    );
}

proptest! {
    #[test]
    fn any_line_is_answered_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
        for mechanism in Mechanism::ALL {
            if let Ok((mut exchange, Step::Challenge(_))) = Exchange::begin(mechanism, None) {
                while let Ok(Step::Challenge(_)) = exchange.respond(&line) {}
            }
        }
    }

    #[test]
    fn plain_decodes_what_was_encoded(
        authorization in "[a-z@.é]{0,20}",
        authentication in "[a-z@.é]{1,20}",
        password in "[^\0]{1,40}",
    ) {
        let message = BASE64.encode(format!("{authorization}\0{authentication}\0{password}"));
        prop_assert_eq!(
            begin(Mechanism::Plain, Some(&message)),
            Ok(Step::Done(credentials(&authorization, &authentication, &password)))
        );
    }
}
