"""Registrations of pairs with exact truth: beside other tools, and whether the tool's own verdict is right."""
