"""Whether a result is to be trusted, and how far it may be off."""
