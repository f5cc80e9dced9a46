"""Fly.io networking, shown: four servers, a local Fly network, and one suite for both networks."""

__version__ = "0.1.0"
