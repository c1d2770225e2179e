"""What all benchmarks share: the machine, timing, child processes, reports, pictures and the command line."""
