use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything is written: recordings, index and key are for the agent's own user.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    nightjar_agent::cli::main()
}
