//! Just enough ManageSieve to have a script.

use std::net::SocketAddr;

use crate::Connection;

/// Stores `script` for an account and makes it its active one.
///
/// # Panics
/// When the server refuses.
pub fn activate_script(managesieve: SocketAddr, user: &str, password: &str, script: &str) {
    let mut connection = Connection::plain(managesieve);
    let finish = |connection: &mut Connection, what: &str| loop {
        let line = connection.line();
        if line.starts_with("OK") {
            break;
        }
        let refused = line.starts_with("NO") || line.starts_with("BYE");
        assert!(!refused, "{what}: {line}");
    };
    finish(&mut connection, "greeting");
    let credentials = base64(format!("\0{user}\0{password}").as_bytes());
    for command in [
        format!("AUTHENTICATE \"PLAIN\" \"{credentials}\""),
        format!("PUTSCRIPT \"main\" {{{}+}}\r\n{script}", script.len()),
        "SETACTIVE \"main\"".to_owned(),
    ] {
        connection.send_line(&command);
        finish(&mut connection, &command);
    }
}

/// Base64 with padding (RFC 4648 §4).
pub fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |n: usize| u32::from(chunk.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4_usize {
            let letter = LETTERS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n > chunk.len() { '=' } else { letter.into() });
        }
    }
    text
}
