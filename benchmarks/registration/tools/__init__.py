"""The tools that register a pair: zncc-cli and its peers."""
