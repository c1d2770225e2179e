"""Transforms on disk: transform.json, the formats of other tools, tables of points."""
