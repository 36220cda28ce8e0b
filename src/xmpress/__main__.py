"""``python -m xmpress``: the command line, for launchers that start modules."""

from xmpress.cli.app import main

main()
