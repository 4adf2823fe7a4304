"""``python -m detector`` is the command."""

from detector.cli import main

main()
