//! One message in transit: its envelope and what became of each recipient.

use facteur_model::Guid;
use serde::{Deserialize, Serialize};

/// A message's name in logs, replies and `facteur queue`: given at MAIL, unique on this server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(String);

impl QueueId {
    /// A fresh one: it sorts by time, and 40 random bits keep two apart.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn generate(now: std::time::SystemTime) -> Result<Self, getrandom::Error> {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let millis = now
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| d.as_millis());
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let value = (millis << 40) | u128::from(u64::from_ne_bytes(random) >> 24);
        let digit = |shift: u32| {
            DIGITS
                .get((value >> shift) as usize & 31)
                .map_or('0', |digit| char::from(*digit))
        };
        Ok(Self((0..17).rev().map(|n| digit(n * 5)).collect()))
    }

    /// `None` for text that could not be one (and so never a path).
    pub fn parse(text: &str) -> Option<Self> {
        let fits =
            (10..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_ascii_uppercase()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for QueueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The BODY parameter of MAIL (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyType {
    /// `7BIT`
    SevenBit,
    /// `8BITMIME`
    EightBitMime,
}

/// Where a message came from; for logs, DSNs and `facteur queue show`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Origin {
    /// The client's address, or `local` for what the server made itself.
    pub client: String,
    /// What it said in HELO or EHLO.
    pub helo: String,
    /// The account that was logged in.
    pub authenticated: Option<String>,
}

/// A message in transit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub queue_id: QueueId,
    /// Envelope sender; empty is the null reverse-path (RFC 5321 §4.5.5).
    pub reverse_path: String,
    /// When it was accepted, in seconds since the Unix epoch.
    pub accepted_at: i64,
    /// Where it came from.
    pub origin: Origin,
    /// What MAIL said of its body.
    pub body_type: BodyType,
    /// Size of the body in bytes.
    pub size: u64,
    /// Header lines (with their CRLF) that come before the body.
    pub prefix: String,
    /// Every final destination not yet struck off.
    pub recipients: Vec<Recipient>,
    /// When it is tried next, in seconds since the Unix epoch.
    pub next_attempt_at: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// Kept back by the operator (`facteur queue hold`).
    pub held: bool,
    /// The sender was told that it is late (Postfix's delay_warning_time).
    #[serde(default)]
    pub delay_warned: bool,
}

/// One final destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where it goes.
    pub forward_path: String,
    /// What RCPT said, before aliases.
    pub original: String,
    /// By which recovery recognises a copy that was already delivered.
    pub delivery: Guid,
    /// Where `forward_path` leads.
    #[serde(default)]
    pub destination: Destination,
    /// How it stands.
    pub state: RecipientState,
}

/// Where a recipient's `forward_path` leads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// Not looked at yet: it may be an alias (what a Sieve script sends to, the sender of a bounced
    /// message).
    #[default]
    Unresolved,
    /// An account here: `forward_path` is its address. No alias is looked up again.
    Account {
        /// The `detail` of `user+detail` that led to it.
        detail: Option<String>,
    },
    /// Elsewhere.
    Remote,
}

/// How a recipient stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientState {
    /// Not tried, or tried without an outcome; the last temporary failure if there was one.
    Pending {
        /// Why it did not get through last time.
        last: Option<Status>,
    },
    /// Will never get through: a notice is due.
    Failed(Status),
    /// Done, with or without the mail: it is struck off.
    Done,
}

/// An SMTP outcome (RFC 3463, RFC 3464 §2.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Enhanced status code, such as `4.4.1`.
    pub enhanced: String,
    /// What was said, by us or by the peer.
    pub text: String,
    /// The host that said it, for `Remote-MTA`.
    pub remote: Option<String>,
}
