"""Addresses, names, distance and cuts: the network of a platform as plain functions."""
