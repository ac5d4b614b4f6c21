use std::{
    io,
    sync::{Arc, Mutex},
};

use crate::rig::Rig;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The mail_log lines that speak of `mailbox`: the other tests write here too.
    fn about(&self, mailbox: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        String::from_utf8_lossy(&bytes)
            .lines()
            .filter(|line| line.contains("mail_log") && line.contains(mailbox))
            .filter_map(|line| Some(line.split_once("user=")?.1.to_owned()))
            .collect()
    }
}

#[tokio::test]
async fn every_message_and_folder_that_comes_or_goes_has_its_line() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let rig = Rig::new();
    let mut client = rig.alice().await;
    client.ok("CREATE Logged").await;
    client
        .append("Logged", "", b"Message-ID: <a@b>\r\n\r\nx\r\n")
        .await;
    client.ok("SELECT Logged").await;
    client.ok("STORE 1 +FLAGS (\\Deleted)").await;
    client.ok("STORE 1 -FLAGS (\\Deleted)").await;
    client.ok("COPY 1 Logged").await;
    client.ok("STORE 1 +FLAGS (\\Deleted \\Seen)").await;
    client.ok("EXPUNGE").await;
    client.ok("UNSELECT").await;
    client.ok("RENAME Logged Logged2").await;
    client.ok("DELETE Logged2").await;
    let about = |event: &str, uid: u32| {
        format!(
            "\"alice@x.test\" event=\"{event}\" mailbox=Logged uid={uid} message_id=<a@b> size=24"
        )
    };
    let expected = [
        "\"alice@x.test\" event=\"mailbox_create\" mailbox=Logged".to_owned(),
        about("save", 1),
        about("delete", 1),
        about("undelete", 1),
        about("copy", 1),
        about("delete", 1),
        about("expunge", 1),
        "\"alice@x.test\" event=\"mailbox_rename\" mailbox=Logged to=Logged2".to_owned(),
        "\"alice@x.test\" event=\"mailbox_delete\" mailbox=Logged2".to_owned(),
    ];
    let written = lines.about("Logged");
    let plain: Vec<String> = written
        .iter()
        .map(|line| line.replace("message_id=\"<a@b>\"", "message_id=<a@b>"))
        .collect();
    assert_eq!(plain, expected);
}
