"""What an app and a network may be called."""

import re

APP_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""It becomes a label of `<app>.internal` and `<app>.fly.dev` (RFC 1123 section 2.1)."""
NETWORK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
"""It appears in no DNS name; no greatest length is documented (docs networking/custom-private-networks)."""
