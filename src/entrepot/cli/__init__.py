"""What does a person type, and what do they read?

Owns the command line: one file per verb or noun, loaded when it is called, and the plain tables and errors it prints.
Does not own any fact: every command asks the admin API, over HTTP where a server runs, inside the command where none
does. Invariants: `--help` loads no database, no web framework, no HTTP client; exit 0 done, 1 a difference found or
refused by a rule, 2 wrong use, 3 server not reachable; no stack trace without `--debug`; nothing secret is printed but
a new key, once. Retry: reading commands may be repeated; a command that moves money carries `--id`.
"""


def main() -> None:
    """The entry point of `entrepot`."""
    import sys

    from entrepot.cli.group import run

    sys.exit(run(sys.argv[1:]))
