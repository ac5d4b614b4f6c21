//! A new SQLite directory.

use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::Path};

use sqlx::{Connection as _, Executor as _, sqlite::SqliteConnectOptions};

use super::OpenError;

/// PostfixAdmin's tables as its version 3.3 has them on SQLite, so that its web pages can be
/// pointed at the file.
const TABLES: &str = include_str!("create.sql");

/// Makes the file and its tables when there is none, or an empty one. Any other file is somebody's
/// database, and left as it is.
pub(super) async fn create_if_missing(options: &SqliteConnectOptions) -> Result<(), OpenError> {
    let path = options.get_filename();
    let failed = |error: String| OpenError::Create {
        path: path.to_owned(),
        error,
    };
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    create_file(path).map_err(|error| failed(error.to_string()))?;
    let write = async {
        let options = options
            .clone()
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
        // Another process may be doing the same: the second finds the tables there.
        connection.execute("BEGIN IMMEDIATE").await?;
        connection.execute(TABLES).await?;
        connection.execute("COMMIT").await?;
        connection.close().await
    };
    write
        .await
        .map_err(|error: sqlx::Error| failed(error.to_string()))?;
    tracing::info!(path = %path.display(), "created the directory");
    Ok(())
}

/// The file holds password hashes: nobody else reads it. Made by root (`facteur account add` before
/// the first start), it belongs to whom the folder belongs, or the server could not open it.
fn create_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    let owner = fs::metadata(folder.unwrap_or(Path::new(".")))?;
    use std::os::unix::fs::MetadataExt as _;
    if file.metadata()?.uid() != owner.uid() {
        // Only root can; anybody else keeps the file.
        let _ = std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(())
}
