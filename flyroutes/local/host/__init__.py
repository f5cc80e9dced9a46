"""What runs outside a local network: the launcher, its settings, its channel and its door."""
