"""Casting inspection that says how far it can be trusted."""

__version__ = "0.1.0"
