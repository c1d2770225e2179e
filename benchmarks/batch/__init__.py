"""What a batch costs beyond its registrations, what it survives, and how it grows."""
