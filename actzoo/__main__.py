"""`python -m actzoo`."""

from actzoo.cli import main

main()
