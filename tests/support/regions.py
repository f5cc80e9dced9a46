"""Regions for tests that need Machines in more than one; which of them an environment uses is no matter."""

NEAR, FAR = "iad", "ams"
"""Where Machines are put: the second is in Europe, as the alias `eu` says."""
NOWHERE = "syd"
"""Where none is."""
