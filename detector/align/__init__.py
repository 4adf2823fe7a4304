"""Where each symbol of a known string stands in its picture."""
