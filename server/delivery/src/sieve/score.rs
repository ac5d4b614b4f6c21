//! Where `spamtest` and `virustest` (RFC 5235) get their value: from a header field that a filter
//! before us added, as Pigeonhole's `sieve_spamtest_*` and `sieve_virustest_*` settings say.

use facteur_message::headers;
use fancy_regex::Regex;

/// A header field that carries a score.
#[derive(Debug, Clone)]
pub struct Score {
    header: String,
    pattern: Option<Regex>,
    kind: Kind,
}

/// How the field's text becomes a value.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Number(f64),
    Length(f64),
    Text(Vec<(u32, String)>),
}

/// Why a score cannot be read as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// The pattern after the colon is no regular expression.
    #[error("{0} is no regular expression")]
    Pattern(String),
    /// The highest score is not above 0.
    #[error("the highest score must be above 0")]
    Max,
}

impl Score {
    /// A number in the field; `max` is the score that means certainly spam
    /// (`sieve_spamtest_status_type = score`). `header` is `name` or `name:pattern`, whose first
    /// group is what counts.
    ///
    /// # Errors
    /// When the pattern or `max` is wrong.
    pub fn number(header: &str, max: f64) -> Result<Self, ScoreError> {
        Self::new(header, Kind::Number(max))
    }

    /// The length of the field's text (`status_type = strlen`), as in `X-Spam-Level: *****`.
    ///
    /// # Errors
    /// When the pattern or `max` is wrong.
    pub fn length(header: &str, max: f64) -> Result<Self, ScoreError> {
        Self::new(header, Kind::Length(max))
    }

    /// Words and the value each stands for, 0 to 10 for spam, 0 to 5 for viruses
    /// (`status_type = text`, `text_value1` …).
    ///
    /// # Errors
    /// When the pattern is wrong.
    pub fn text(header: &str, values: Vec<(u32, String)>) -> Result<Self, ScoreError> {
        Self::new(header, Kind::Text(values))
    }

    fn new(header: &str, kind: Kind) -> Result<Self, ScoreError> {
        if let Kind::Number(max) | Kind::Length(max) = kind
            && (max.is_nan() || max <= 0.0)
        {
            return Err(ScoreError::Max);
        }
        let (name, pattern) = match header.split_once(':') {
            Some((name, pattern)) => (name, Some(pattern.trim())),
            None => (header, None),
        };
        let compile = |pattern: &str| {
            Regex::new(pattern).map_err(|_| ScoreError::Pattern(pattern.to_owned()))
        };
        Ok(Self {
            header: name.trim().to_owned(),
            pattern: pattern.map(compile).transpose()?,
            kind,
        })
    }

    /// The part of the field that counts.
    fn read(&self, header: &[u8]) -> Option<String> {
        let field = headers::fields(header).find(|field| field.is(&self.header))?;
        let value = field.unfolded();
        let value = String::from_utf8_lossy(&value);
        match &self.pattern {
            None => Some(value.into_owned()),
            Some(pattern) => {
                let found = pattern.captures(&*value).ok()??;
                let group = found.get(1).or_else(|| found.get(0))?;
                Some(group.as_str().trim().to_owned())
            }
        }
    }

    fn fraction(&self, header: &[u8]) -> Option<Fraction> {
        let text = self.read(header)?;
        match &self.kind {
            Kind::Number(max) => Some(Fraction::Of(text.parse::<f64>().ok()? / max)),
            #[expect(clippy::cast_precision_loss, reason = "a header field is short")]
            Kind::Length(max) => Some(Fraction::Of(text.chars().count() as f64 / max)),
            Kind::Text(values) => values
                .iter()
                .find(|(_, word)| *word == text)
                .map(|(value, _)| Fraction::Step(*value)),
        }
    }

    /// What `spamtest` says of a message with this header.
    pub(crate) fn spam(&self, header: &[u8]) -> sieve::SpamStatus {
        match self.fraction(header) {
            None => sieve::SpamStatus::Unknown,
            Some(Fraction::Step(step)) => sieve::SpamStatus::from_number(step),
            Some(Fraction::Of(part)) if part >= 1.0 => sieve::SpamStatus::Spam,
            Some(Fraction::Of(part)) if part > 0.0 => sieve::SpamStatus::MaybeSpam(part),
            Some(Fraction::Of(_)) => sieve::SpamStatus::Ham,
        }
    }

    /// What `virustest` says of a message with this header.
    pub(crate) fn virus(&self, header: &[u8]) -> sieve::VirusStatus {
        match self.fraction(header) {
            None => sieve::VirusStatus::Unknown,
            Some(Fraction::Step(step)) => sieve::VirusStatus::from_number(step),
            Some(Fraction::Of(part)) if part >= 1.0 => sieve::VirusStatus::Virus,
            Some(Fraction::Of(part)) if part > 0.0 => sieve::VirusStatus::MaybeVirus,
            Some(Fraction::Of(_)) => sieve::VirusStatus::Clean,
        }
    }
}

enum Fraction {
    Of(f64),
    Step(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use sieve::{SpamStatus, VirusStatus};

    #[test]
    fn spam_status_follows_the_configured_field() {
        let number = Score::number(r"X-Spam-Status: score=(-?[0-9.]+)", 10.0).unwrap();
        let spam = |field: &str| number.spam(format!("{field}\r\n\r\n").as_bytes());
        assert_eq!(spam("X-Other: 1"), SpamStatus::Unknown);
        assert_eq!(spam("x-spam-status: No, score=-1.5 r"), SpamStatus::Ham);
        assert_eq!(spam("X-Spam-Status: score=5"), SpamStatus::MaybeSpam(0.5));
        assert_eq!(spam("X-Spam-Status: score=12.1"), SpamStatus::Spam);
        let length = Score::length("X-Spam-Level", 4.0).unwrap();
        assert_eq!(
            length.spam(b"X-Spam-Level: **\r\n"),
            SpamStatus::MaybeSpam(0.5)
        );
    }

    #[test]
    fn virus_status_follows_the_configured_words() {
        let words = vec![(1, "Clean".to_owned()), (5, "Infected".to_owned())];
        let score = Score::text("X-Virus", words).unwrap();
        assert_eq!(score.virus(b"X-Virus: Infected\r\n"), VirusStatus::Virus);
        assert_eq!(score.virus(b"X-Virus: Clean\r\n"), VirusStatus::Clean);
        assert_eq!(score.virus(b"X-Virus: ?\r\n"), VirusStatus::Unknown);
    }

    #[test]
    fn wrong_settings_are_refused() {
        assert_eq!(Score::number("X", 0.0).unwrap_err(), ScoreError::Max);
        assert!(Score::text("X: (", Vec::new()).is_err());
    }
}
