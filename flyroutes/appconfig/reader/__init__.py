"""Readers: what TOML gave, checked key by key, to values."""
