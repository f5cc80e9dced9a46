"""The few kernel interfaces a local network needs: namespaces, mounts, links, packet filter."""
