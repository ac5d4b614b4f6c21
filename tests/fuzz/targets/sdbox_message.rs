//! A message's file, however damaged, is read within its bounds or refused.
#![no_main]
use facteur_disk::Disk;
use facteur_sdbox::MessageFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Disk::real().anonymous(&std::env::temp_dir()) else {
        return;
    };
    if file.write_all_at(bytes, 0).is_err() {
        return;
    }
    if let Ok(message) = MessageFile::new(file)
        && message.metadata().is_ok()
    {
        assert!(message.offset + message.stored_size <= bytes.len() as u64);
    }
});
