"""Whole ways through the package: one call that converts, trains and evaluates, and goes on where it was stopped."""
