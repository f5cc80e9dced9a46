"""The Machines API's client: the one seam to the platform, on the local network and live."""
