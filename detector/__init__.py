"""Strings in, reader out."""
