//! Lists of destinations, as aliases have them.

/// Splits at commas, white space and line ends, but not inside quotes (RFC 5321 §4.1.2 allows
/// both in a quoted local part).
pub(crate) fn split_destinations<'a>(values: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut destinations = Vec::new();
    for value in values {
        let mut current = String::new();
        let mut quoted = false;
        let mut escaped = false;
        for c in value.chars() {
            let separator = !quoted && (c == ',' || c.is_whitespace());
            if separator {
                push(&mut destinations, &mut current);
                continue;
            }
            if c == '"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && c == '\\' && !escaped;
            current.push(c);
        }
        push(&mut destinations, &mut current);
    }
    destinations
}

fn push(destinations: &mut Vec<String>, current: &mut String) {
    if !current.is_empty() {
        destinations.push(std::mem::take(current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_split_outside_of_quotes() {
        assert_eq!(
            split_destinations(["a@b, c@d,,\n e@f", r#""x, \"y"@z"#]),
            ["a@b", "c@d", "e@f", r#""x, \"y"@z"#]
        );
        assert!(split_destinations(["", " , "]).is_empty());
    }
}
