use std::process::ExitCode;

fn main() -> ExitCode {
    nightjar_agent::cli::main()
}
