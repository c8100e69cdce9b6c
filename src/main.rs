fn main() -> std::process::ExitCode {
    modvet::cli::main()
}
