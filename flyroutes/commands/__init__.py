"""The command line: a file per verb, its parser beside it."""
