"""Everything that knows a format on disk."""
