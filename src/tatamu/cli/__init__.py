"""The `tatamu` command: one file per subcommand."""
