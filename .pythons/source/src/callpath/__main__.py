"""`python -m callpath` is `callpath`."""

from callpath.cli import main

main()
