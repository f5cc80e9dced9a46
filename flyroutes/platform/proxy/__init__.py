"""Fly Proxy's decisions as plain functions: where a request goes, and what becomes of it."""
