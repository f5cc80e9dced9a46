"""Fly Proxy towards apps: connections, exchanges of one request, bodies that are kept."""
