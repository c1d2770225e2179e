"""Damaged files, read by the thousand."""
