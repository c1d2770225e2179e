"""Rounds of one scene: registered by a channel each, and merged into one image of all channels."""
