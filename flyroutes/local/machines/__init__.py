"""The Machines' lives: who owns their state, who starts, watches and ends them."""
