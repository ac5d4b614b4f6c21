//! The mail server's program: its command line, and the wiring of its parts.

mod cli;
mod files;
mod log;
mod maintenance;
mod privileges;
mod quickstart;
mod quota_report;
mod serve;
mod source;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // A server waits most of its time: memory that the kernel hands out 2 MiB at a time, where it
    // does so unasked, would be mostly unused. Where it cannot be told, it costs only memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Named once for whatever asks for the process's own: there is no other in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            // What a person typed deserves a sentence, not a log line; what is wrong in a file, its lines.
            match error.downcast_ref::<facteur_config::Problems>() {
                Some(problems) => eprintln!("{problems}"),
                None => eprintln!("facteur: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}
