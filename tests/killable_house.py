"""A trial house whose gateway and keeper can be killed at an exact moment (kill_points.py)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kill_points
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor
from trial_house import Trial, with_customers

_TESTS = Path(__file__).parent


class Place(Trial):
    """Armed with a moment, one process that comes by it dies there."""

    def arm(self, moment: str) -> None:
        run = self.house.folder.root / "run"
        (run / kill_points.FIRED).unlink(missing_ok=True)
        aside = run / f"{kill_points.ARMED}.aside"
        aside.write_text(moment)
        aside.rename(run / kill_points.ARMED)

    def disarm(self) -> None:
        """So that a row that fails takes no other with it."""
        (self.house.folder.root / "run" / kill_points.ARMED).unlink(missing_ok=True)
        self.house.release("keeper")

    def fired(self) -> bool:
        return (self.house.folder.root / "run" / kill_points.FIRED).exists()

    def gone(self, role: str, before: list[int]) -> None:
        self.wait(lambda: not set(self.house.pids(role)) & set(before), f"the {role} lives on")


@contextmanager
def killable(ledger: Path) -> Iterator[Place]:
    """Started, with a vendor, and answering."""
    vendor = start_vendor(ledger)
    launch = [sys.executable, str(_TESTS / "kill_points.py")]
    house = House(vendor.port, workers=1, launch=launch, environment={"PYTHONPATH": str(_TESTS)})
    try:
        with_customers(house, budget="0.005")  # FUNDS
        house.start()
        house.first_answer()
        place = Place(house, ledger)
        yield place
        place.let_go()
    finally:
        house.end()
        vendor.end()
