"""Benchmarks of the operator, of registrations, batches and stacks; not part of the installed package."""
