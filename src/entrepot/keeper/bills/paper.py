"""A document as a page, in a process of its own: canonical JSON on standard input, PDF on standard output.

`python -m entrepot.keeper.bills.paper [draft]`. Only here the typesetter is loaded, which is 80 MB.
"""

import sys

from entrepot.billing.document.canonical import from_json
from entrepot.billing.document.pdf import to_pdf


def main(argv: list[str]) -> int:
    sys.stdout.buffer.write(to_pdf(from_json(sys.stdin.buffer.read()), draft="draft" in argv[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
