"""A UBL document as the rules look at it. For documents that we wrote ourselves: no DTD, no entities."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from xml.etree import ElementTree as Tree

from entrepot.billing.invoice import InvoiceBroken

_UBL = "urn:oasis:names:specification:ubl:schema:xsd:"
_CAC, _CBC = f"{{{_UBL}CommonAggregateComponents-2}}", f"{{{_UBL}CommonBasicComponents-2}}"
_ROOTS = tuple(f"{{{_UBL}{name}-2}}{name}" for name in ("Invoice", "CreditNote"))
_LARGEST = 64 * 1024 * 1024


class Node:
    """An element. Paths are written as in UBL: `cac:Price/cbc:PriceAmount`."""

    __slots__ = ("element",)

    def __init__(self, element: Tree.Element) -> None:
        self.element = element

    def all(self, path: str) -> list["Node"]:
        """Every element on the path, in document order; `//x` finds x at any depth."""
        deep = path.startswith("//")
        steps = path.removeprefix("//").replace("cac:", _CAC).replace("cbc:", _CBC)
        return [Node(each) for each in self.element.findall(f".//{steps}" if deep else steps)]

    def first(self, path: str) -> "Node | None":
        found = self.all(path)
        return found[0] if found else None

    def has(self, path: str) -> bool:
        return bool(self.all(path))

    def text(self, path: str = "") -> str:
        """Text of the first element on the path without outer blanks; "" where there is none."""
        found = self.first(path) if path else self
        return " ".join((found.element.text or "").split()) if found else ""

    def attribute(self, name: str) -> str | None:
        return self.element.get(name)

    def number(self, path: str = "") -> Decimal | None:
        """A decimal, or None for what is missing or none."""
        return decimal(self.text(path))

    def sum(self, path: str) -> Decimal:
        return sum((each.number() or Decimal(0) for each in self.all(path)), Decimal(0))

    @property
    def name(self) -> str:
        return self.element.tag.rpartition("}")[2]


def decimal(text: str) -> Decimal | None:
    """xs:decimal: no exponent, no blanks, no NaN."""
    if not text or not set(text) <= set("+-.0123456789"):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def places(text: str) -> int:
    """Digits after the point."""
    return len(text.partition(".")[2])


def read(data: bytes) -> Node:
    """The root of a UBL invoice or credit note; raises InvoiceBroken for anything else."""
    if len(data) > _LARGEST or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise InvoiceBroken("this is no document of ours: it is larger than 64 MiB or declares a type of its own")
    try:
        root = Node(Tree.fromstring(data))
    except Tree.ParseError as error:
        raise InvoiceBroken(f"this is no XML: {error}") from None
    if root.element.tag not in _ROOTS:
        raise InvoiceBroken(f"the root is {root.name}; a UBL document is an Invoice or a CreditNote")
    return root


def lines(root: Node) -> Iterator[Node]:
    """The lines of either kind."""
    yield from root.all("cac:InvoiceLine")
    yield from root.all("cac:CreditNoteLine")
