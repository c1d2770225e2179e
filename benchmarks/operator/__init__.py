"""The operator beside everything that a user could take instead, and what its native code costs at start-up."""
