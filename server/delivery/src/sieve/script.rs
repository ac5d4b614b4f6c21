//! From a script's text to what runs.

use std::sync::{Arc, LazyLock};

use sieve::{Compiler, Sieve};

use super::{
    ScriptError,
    extensions::{COMMANDS, WANT_BODY, extensions},
    lexer::{Kind, Token, tokens},
    rewrite,
};

/// Largest script in bytes (Pigeonhole's `sieve_max_script_size`).
pub const MAX_SCRIPT_SIZE: usize = 1024 * 1024;

/// The largest string: a long vacation text must fit.
const MAX_STRING_SIZE: usize = 256 * 1024;

static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
    Compiler::new()
        // What `rewrite` adds must not make a script too long that was not.
        .with_max_script_size(MAX_SCRIPT_SIZE * 8)
        .with_max_string_size(MAX_STRING_SIZE)
        .with_max_nested_blocks(32)
        .with_max_nested_tests(32)
        .with_max_header_size(8 * 1024)
        .with_max_includes(255)
});

/// A script that can run.
#[derive(Debug)]
pub(crate) struct Script {
    /// sieve-rs's form of it.
    pub(crate) program: Arc<Sieve>,
    /// What it wants of the message.
    pub(crate) wants: Wants,
}

/// What a script wants of the message and of the account, as far as its text tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// More than the header: the message is parsed whole.
    pub(crate) body: bool,
    /// To match patterns against the body, which costs a multiple of it in memory.
    pub(crate) body_patterns: bool,
    /// `vacation`
    pub(crate) vacation: bool,
    /// `duplicate`
    pub(crate) duplicate: bool,
}

impl Script {
    /// Compiles `text`. Every `require` is checked here: sieve-rs would find an unknown one only
    /// when the script runs.
    ///
    /// # Errors
    /// The first thing wrong, and its line.
    pub(crate) fn compile(text: &[u8]) -> Result<Self, ScriptError> {
        if text.len() > MAX_SCRIPT_SIZE {
            let message = format!("the script is larger than {MAX_SCRIPT_SIZE} bytes");
            return Err(ScriptError::at(1, message));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        if let Err(error) = std::str::from_utf8(text) {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            return Err(ScriptError::at(line, "the script is not UTF-8"));
        }
        let tokens = tokens(text)?;
        let required = required(&tokens)?;
        let has = |name: &str| required.iter().any(|required| required == name);
        check_commands(&tokens, &has)?;
        check_tags(&tokens, &has)?;
        check_comparators(&tokens, &has)?;
        let source = rewrite::for_sieve_rs(text, &tokens, &has);
        let program = compile(&source)?;
        let tag = |name: &str| {
            tokens
                .iter()
                .any(|token| matches!(token.kind, Kind::Tag(tag) if tag.eq_ignore_ascii_case(name)))
        };
        Ok(Self {
            program: Arc::new(program),
            wants: Wants {
                body: WANT_BODY.iter().any(|name| has(name)) || has("ihave"),
                body_patterns: (has("body") || has("include") || has("ihave"))
                    && (tag("matches") || tag("regex")),
                vacation: has("vacation") || has("include") || has("ihave"),
                duplicate: has("duplicate") || has("include") || has("ihave"),
            },
        })
    }
}

fn compile(source: &[u8]) -> Result<Sieve, ScriptError> {
    // What others upload must not end a session, whatever sieve-rs makes of it.
    let compiled = std::panic::catch_unwind(|| COMPILER.compile(source));
    let compiled = compiled.map_err(|_| ScriptError::at(1, "the script cannot be compiled"))?;
    compiled.map_err(|error| {
        let whole = error.to_string();
        let message = whole.split(" at line ").next().unwrap_or(&whole);
        ScriptError::at(error.line_num().max(1), message)
    })
}

/// Where a command may begin: at the start, and after what ends another or opens or closes a block.
pub(super) fn begins_command(tokens: &[Token<'_>], index: usize) -> bool {
    index
        .checked_sub(1)
        .and_then(|before| tokens.get(before))
        .is_none_or(|before| matches!(before.kind, Kind::Mark(b';' | b'{' | b'}')))
}

/// The extensions a script requires; each must be one of ours (RFC 5228 §3.2).
fn required(tokens: &[Token<'_>]) -> Result<Vec<String>, ScriptError> {
    let mut required = Vec::new();
    let mut past_requires = false;
    for (index, token) in tokens.iter().enumerate() {
        if !begins_command(tokens, index) || matches!(token.kind, Kind::Mark(_)) {
            continue;
        }
        if !token.kind.is_identifier("require") {
            past_requires = true;
            continue;
        }
        if past_requires {
            let message = "require must come before every other command";
            return Err(ScriptError::at(token.line, message));
        }
        let arguments = tokens.iter().skip(index + 1);
        for argument in arguments.take_while(|token| token.kind != Kind::Mark(b';')) {
            let Some(name) = argument.kind.string() else {
                continue;
            };
            let name = String::from_utf8_lossy(&name).into_owned();
            if !extensions().contains(&name.as_str()) {
                let message = match nearest(&name) {
                    Some(near) => format!("unknown extension \"{name}\"; is \"{near}\" meant?"),
                    None => format!("unknown extension \"{name}\""),
                };
                return Err(ScriptError::at(argument.line, message));
            }
            required.push(name);
        }
    }
    Ok(required)
}

/// The extension that `name` is one slip of the fingers, or of its case, away from.
fn nearest(name: &str) -> Option<&'static str> {
    let lower = name.to_ascii_lowercase();
    let one_slip = |ours: &str| {
        let (a, b) = (lower.as_bytes(), ours.as_bytes());
        let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
        let rest = a.len().min(b.len()) - head;
        let tail = a.iter().rev().zip(b.iter().rev());
        let tail = tail.take(rest).take_while(|(x, y)| x == y).count();
        a.len().max(b.len()) - head - tail <= 1
    };
    extensions().iter().copied().find(|ours| one_slip(ours))
}

/// Every command must be known; sieve-rs would name the wrong line. With `ihave`, commands that
/// nobody knows are allowed where they are not reached (RFC 5463 §4).
fn check_commands(tokens: &[Token<'_>], has: &dyn Fn(&str) -> bool) -> Result<(), ScriptError> {
    if let Some(last) = tokens.last()
        && !matches!(last.kind, Kind::Mark(b';' | b'}'))
    {
        return Err(ScriptError::at(last.line, "a semicolon is missing"));
    }
    if has("ihave") {
        return Ok(());
    }
    for (index, token) in tokens.iter().enumerate() {
        let Kind::Identifier(name) = token.kind else {
            continue;
        };
        if !begins_command(tokens, index) {
            continue;
        }
        let name = name.to_ascii_lowercase();
        if !COMMANDS.contains(&name.as_str()) {
            let message = format!("unknown command \"{name}\"");
            return Err(ScriptError::at(token.line, message));
        }
        // The rewriting of `keep` hides this one from sieve-rs.
        if name == "fileinto" && !has("fileinto") {
            let message = "\"fileinto\" is used without require \"fileinto\"";
            return Err(ScriptError::at(token.line, message));
        }
    }
    Ok(())
}

/// Arguments that sieve-rs takes without the extension they belong to.
const TAGS: &[(&str, &str)] = &[("encodeurl", "enotify")];

fn check_tags(tokens: &[Token<'_>], has: &dyn Fn(&str) -> bool) -> Result<(), ScriptError> {
    for token in tokens {
        let Kind::Tag(tag) = token.kind else { continue };
        let mut known = TAGS.iter();
        if let Some((tag, extension)) = known.find(|(name, _)| name.eq_ignore_ascii_case(tag))
            && !has(extension)
        {
            let message = format!("\":{tag}\" is used without require \"{extension}\"");
            return Err(ScriptError::at(token.line, message));
        }
    }
    Ok(())
}

/// A comparator other than the two that always exist must be required (RFC 5228 §2.7.3).
fn check_comparators(tokens: &[Token<'_>], has: &dyn Fn(&str) -> bool) -> Result<(), ScriptError> {
    for pair in tokens.windows(2) {
        let [tag, argument] = pair else { continue };
        let (Kind::Tag(name), Some(value)) = (&tag.kind, argument.kind.string()) else {
            continue;
        };
        if !name.eq_ignore_ascii_case("comparator") {
            continue;
        }
        let value = String::from_utf8_lossy(&value);
        let extension = format!("comparator-{value}");
        let message = if !extensions().contains(&extension.as_str()) {
            format!("unknown comparator \"{value}\"")
        } else if !matches!(&*value, "i;octet" | "i;ascii-casemap") && !has(&extension) {
            format!("\"{value}\" is used without require \"{extension}\"")
        } else {
            continue;
        };
        return Err(ScriptError::at(argument.line, message));
    }
    Ok(())
}
