"""The tool's own verdict and uncertainty beside the truth."""
