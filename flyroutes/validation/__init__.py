"""Whether a network does what Fly documents: what to check, how to look, what it means, how to tell it."""
