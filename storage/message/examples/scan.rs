//! Prints what FETCH would tell of the message files named: envelope, BODY, BODYSTRUCTURE, stored
//! size and RFC822.SIZE.

use std::{fs::File, io::Write as _};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args_os().skip(1) {
        let scanned = facteur_message::scan_reader(File::open(path)?)?;
        for text in [&scanned.envelope, &scanned.body, &scanned.body_structure] {
            out.write_all(text)?;
            out.write_all(b"\n")?;
        }
        writeln!(out, "{} {}\0", scanned.stored_size, scanned.size)?;
    }
    Ok(())
}
