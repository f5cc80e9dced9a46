"""The local Fly network: Machines are Linux namespaces, the kernel does the network."""
