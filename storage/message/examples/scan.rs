//! Prints what FETCH would tell of the message files named: envelope, BODY, BODYSTRUCTURE, stored
//! size, RFC822.SIZE, and where every part's header and body lie.

use std::{fs::File, io::Write as _};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for path in std::env::args_os().skip(1) {
        let scanned = facteur_message::scan_reader(File::open(path)?)?;
        for text in [&scanned.envelope, &scanned.body, &scanned.body_structure] {
            out.write_all(text)?;
            out.write_all(b"\n")?;
        }
        writeln!(out, "{} {}", scanned.stored_size, scanned.size)?;
        for part in scanned.structure.parts() {
            let (header, body) = (part.header, part.body);
            writeln!(
                out,
                "{:?} header {}..{} body {}..{}",
                part.kind, header.start, header.end, body.start, body.end
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}
