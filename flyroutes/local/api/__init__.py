"""What a local network answers to clients of the platform."""
