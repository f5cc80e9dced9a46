"""The resolver of a local network."""
