"""The commands: each parses its arguments, builds a config, runs one job and returns its exit code."""
