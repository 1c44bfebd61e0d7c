"""What does a gateway know?

Owns the versioned view that the keeper compiles and gateways answer from: entries, the file format (a sorted base and
small numbered deltas, each with a checksum), and the reader. Does not own what it is compiled from. Invariants: a
reader sees a whole version or the one before it; an entry is decoded when it is asked for; the keeper is the only
writer. Retry: publishing the same tables again writes nothing.
"""

from entrepot.snapshot.entries import (
    BudgetEntry,
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    LimitEntry,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    UpstreamEntry,
    Variant,
)
from entrepot.snapshot.files import Changes, SnapshotBroken, Tables, publish, write_base, write_delta
from entrepot.snapshot.view import Snapshot

__all__ = [
    "BudgetEntry", "Changes", "CustomerEntry", "DeploymentEntry", "KeyEntry", "KeySecret", "LimitEntry", "ModelEntry",
    "PriceEntry", "PriceVersion", "Snapshot", "SnapshotBroken", "Tables", "UpstreamEntry", "Variant", "publish",
    "write_base", "write_delta",
]  # fmt: skip
