"""The process that makes Machines, and how the network speaks to it."""
