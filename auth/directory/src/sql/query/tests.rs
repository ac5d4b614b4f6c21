use super::*;

const ALIAS_DOMAIN: &str = "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain \
    = '%d' and alias.address = CONCAT('%u', '@', alias_domain.target_domain) AND alias.active = 1 \
    AND alias_domain.active='1'";

fn parse(text: &str, syntax: Syntax, dialect: Dialect) -> Query {
    Query::parse(text, syntax, dialect).unwrap()
}

fn parameters(query: &Query, key: &str) -> Option<Vec<String>> {
    query.parameters(&Key::address(key))
}

#[test]
fn postfix_variables_in_quotes_become_parameters() {
    let query = parse(ALIAS_DOMAIN, Syntax::Postfix, Dialect::MySql);
    assert_eq!(
        &**query.sql(),
        "SELECT goto FROM alias,alias_domain WHERE alias_domain.alias_domain = ? and \
         alias.address = CONCAT(?, '@', alias_domain.target_domain) AND alias.active = 1 AND \
         alias_domain.active='1'"
    );
    assert_eq!(
        parameters(&query, "bob@example.org"),
        Some(vec!["example.org".to_owned(), "bob".to_owned()])
    );
}

#[test]
fn query_that_does_not_apply_to_its_key_is_skipped() {
    let query = parse(ALIAS_DOMAIN, Syntax::Postfix, Dialect::MySql);
    assert_eq!(parameters(&query, "bob"), None, "no domain");
    assert_eq!(parameters(&query, "@example.org"), None, "no local part");
}

#[test]
fn dovecot_variables_inside_a_longer_literal_become_one_parameter() {
    let query = parse(
        "SELECT '/home/virtual/%d/%n' AS home, 'sdbox:/home/virtual/%d/%n' AS mail, \
         concat('*:bytes=', quota) AS quota_rule FROM mailbox WHERE username = '%u' AND active = '1'",
        Syntax::Dovecot,
        Dialect::Postgres,
    );
    assert_eq!(
        &**query.sql(),
        "SELECT CAST($1 AS text) AS home, CAST($2 AS text) AS mail, concat('*:bytes=', quota) AS \
         quota_rule FROM mailbox WHERE username = CAST($3 AS text) AND active = '1'"
    );
    assert_eq!(
        parameters(&query, "bob@example.org"),
        Some(vec![
            "/home/virtual/example.org/bob".to_owned(),
            "sdbox:/home/virtual/example.org/bob".to_owned(),
            "bob@example.org".to_owned(),
        ])
    );
}

#[test]
fn a_quote_in_an_address_stays_in_its_parameter() {
    let query = parse("SELECT 1 WHERE a = '%s'", Syntax::Postfix, Dialect::Sqlite);
    let key = "x' OR '1'='1@example.org";
    assert_eq!(parameters(&query, key), Some(vec![key.to_owned()]));
    assert_eq!(&**query.sql(), "SELECT 1 WHERE a = ?");
}

#[test]
fn doubled_percent_and_escapes_are_read_as_the_database_would() {
    let like = parse(
        "SELECT a FROM b WHERE c LIKE '%%@%d' AND d LIKE 'x%%'",
        Syntax::Postfix,
        Dialect::MySql,
    );
    assert_eq!(
        &**like.sql(),
        "SELECT a FROM b WHERE c LIKE ? AND d LIKE 'x%'"
    );
    assert_eq!(parameters(&like, "a@b.c"), Some(vec!["%@b.c".to_owned()]));

    let mysql = parse(
        r"SELECT 'it\'s %u', 'a''b%n'",
        Syntax::Dovecot,
        Dialect::MySql,
    );
    assert_eq!(
        parameters(&mysql, "u@d"),
        Some(vec!["it's u@d".to_owned(), "a'bu".to_owned()])
    );
    let postgres = parse(
        r"SELECT E'\'%u', 'a\', '%u'",
        Syntax::Dovecot,
        Dialect::Postgres,
    );
    assert_eq!(
        &**postgres.sql(),
        r"SELECT CAST($1 AS text), 'a\', CAST($2 AS text)"
    );
    assert_eq!(
        parameters(&postgres, "u"),
        Some(vec!["'u".to_owned(), "u".to_owned()])
    );
}

#[test]
fn variable_without_quotes_or_in_upper_case_is_a_parameter_too() {
    let query = parse(
        "SELECT %Lu, %{user | domain}",
        Syntax::Dovecot,
        Dialect::Sqlite,
    );
    assert_eq!(
        parameters(&query, "Bob@Example.org"),
        Some(vec!["bob@example.org".to_owned(), "Example.org".to_owned()])
    );
}

#[test]
fn comments_and_names_are_left_alone() {
    let text = "SELECT `it's` /* '%z' */ FROM \"a'b\" -- it's %z";
    let query = parse(text, Syntax::Postfix, Dialect::Postgres);
    assert_eq!(&**query.sql(), text);
}

#[test]
fn unusable_queries_are_refused() {
    let parse = |text, dialect| Query::parse(text, Syntax::Postfix, dialect);
    assert_eq!(parse(" ; ", Dialect::MySql), Err(QueryError::Empty));
    assert_eq!(
        parse("SELECT 'a", Dialect::MySql),
        Err(QueryError::Unterminated)
    );
    assert_eq!(
        parse("SELECT \"%u\"", Dialect::Postgres),
        Err(QueryError::InName)
    );
    let unknown = parse("SELECT '%q'", Dialect::MySql).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "unknown variable \"%q\"; known are %s, %u, %d, %S, %U, %D and %%"
    );
}
