"""What strings may look like: the algebra behind patterns, and formats learnt from readings or labels."""
