//! A line on the terminal that says how far something is.

use std::io::{self, IsTerminal as _, Write as _};

use facteur_control::Progress;

/// Columns of the bar itself.
const WIDTH: u64 = 24;

/// The bar. Without a terminal it is none.
pub(super) struct Bar {
    shown: bool,
    visible: bool,
}

impl Bar {
    pub(super) fn new() -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            visible: false,
        }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, progress: &Progress) {
        if self.shown {
            self.visible = true;
            // It is decoration: a terminal that goes away is noticed elsewhere.
            let _ = write!(io::stderr(), "\r\x1b[K{}", line(progress));
        }
    }

    /// Makes room for other lines.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.visible) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}

fn line(progress: &Progress) -> String {
    let total = progress.total.max(1);
    let done = progress.done.min(total);
    let filled = done.saturating_mul(WIDTH) / total;
    let percent = done.saturating_mul(100) / total;
    let bar: String = (0..WIDTH)
        .map(|column| if column < filled { '#' } else { '.' })
        .collect();
    let what: String = progress.what.chars().filter(|c| !c.is_control()).collect();
    format!("[{bar}] {percent:3} % {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_fills_with_what_is_done() {
        let at = |done, total| {
            line(&Progress {
                done,
                total,
                what: "bob@example.org\x1b[2J".to_owned(),
            })
        };
        assert_eq!(
            at(0, 0),
            "[........................]   0 % bob@example.org[2J"
        );
        assert_eq!(
            at(1, 2),
            "[############............]  50 % bob@example.org[2J"
        );
        assert_eq!(
            at(9, 2),
            "[########################] 100 % bob@example.org[2J"
        );
    }
}
