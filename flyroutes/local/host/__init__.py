"""What runs outside a local network: the launcher, and the door by which programs come in."""
