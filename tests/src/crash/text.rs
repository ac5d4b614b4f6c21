//! What is sent, and how answers are read.

use super::ledger::Flags;
use crate::Random;

/// A message of about `size` bytes that can be told whole from torn.
pub(crate) fn message(id: &str, head: &str, size: usize) -> String {
    let line = "A line that is there to be there, and to be found again after the crash.\r\n";
    let body = line.repeat(size / line.len() + 1);
    format!("Message-ID: <{id}>\r\n{head}Subject: {id}\r\n\r\n{body}end of {id}\r\n")
}

/// Bob's script.
pub(crate) fn vacation(number: u64) -> String {
    format!(
        "# version {number}\r\nrequire \"vacation\";\r\nvacation :days 7 :handle \"away\" \"I am away.\";\r\n"
    )
}

pub(crate) fn size(random: &mut Random) -> usize {
    match random.below(20) {
        0 => 600_000,
        1 | 2 => 40_000,
        _ => 200 + random.below(3000),
    }
}

pub(crate) fn random_flags(random: &mut Random) -> Flags {
    let all = [
        "\\Seen",
        "\\Answered",
        "\\Flagged",
        "$Forwarded",
        "Work",
        "Later",
    ];
    let chosen = all.iter().filter(|_| random.below(2) == 0);
    chosen.map(|flag| (*flag).to_owned()).collect()
}

pub(crate) fn join(flags: &Flags) -> String {
    flags.iter().cloned().collect::<Vec<_>>().join(" ")
}

pub(crate) fn set(chosen: &[(u32, String)]) -> String {
    let uids: Vec<String> = chosen.iter().map(|(uid, _)| uid.to_string()).collect();
    uids.join(",")
}

/// UIDVALIDITY and the UIDs of a response code, ranges resolved.
pub(crate) fn code(line: &str, name: &str) -> Option<(u32, Vec<u32>)> {
    let (_, rest) = line.split_once(name)?;
    let (code, _) = rest.split_once(']')?;
    let mut fields = code.split(' ');
    let validity = fields.next()?.parse().ok()?;
    let mut uids = Vec::new();
    for part in fields.flat_map(|field| field.split(',')) {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        uids.extend(first..=last);
    }
    Some((validity, uids))
}
