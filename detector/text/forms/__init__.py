"""What strings may look like: the algebra behind patterns, and formats that are learnt from readings."""
