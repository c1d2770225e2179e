"""The commands: parse, build a config, run one job, turn its result into an exit code."""
