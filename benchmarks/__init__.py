"""Benchmarks of the operator and of start-up; not part of the installed package."""
