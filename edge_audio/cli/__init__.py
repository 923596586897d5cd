"""The command line. Thin: every subcommand calls the library and prints."""
