"""Transforms that bend beside the tools that a user could take instead, on pairs whose motion is known everywhere."""
