"""Fly Proxy on a detour: what an answer with `fly-replay` orders."""
