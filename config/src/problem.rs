//! What is wrong with a configuration.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` when it lies in what the file lacks.
    pub line: Option<usize>,
    /// The key, with its section; empty for the file as a whole.
    pub key: String,
    /// What was wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// With a key, where the file has it; a key that the file leaves out stands where its section does.
    pub(crate) fn of_key(origin: &Origin, key: &str, message: impl Into<String>) -> Self {
        let section = || key.rsplit_once('.').map(|(section, _)| section);
        let line = origin
            .get(key)
            .or_else(|| section().and_then(|section| origin.get(section)));
        Self {
            line: line.copied(),
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

/// Everything that is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// Which file.
    pub file: PathBuf,
    /// What is wrong, by line.
    pub problems: Vec<Problem>,
}

impl Problems {
    /// Of a file, put in the order of its lines.
    pub fn new(file: &Path, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        Self {
            file: file.to_owned(),
            problems,
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(line) = problem.line {
                write!(f, ":{line}")?;
            }
            if !problem.key.is_empty() {
                write!(f, ": {}", problem.key)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
