"""Files and registration brought together: one pair, many pairs."""
