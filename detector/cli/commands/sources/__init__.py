"""Commands that make sources of pictures for the others."""
