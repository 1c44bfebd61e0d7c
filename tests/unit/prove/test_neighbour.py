"""Clients of a recorded trace of rates: the busiest window, scaled, with the trace's own distributions."""

import gzip
from pathlib import Path
from random import Random

import pytest

from entrepot.prove.neighbour import Client, Neighbours, TraceBroken, read_busiest

HEAD = "client_id,window_start_s,rate_rps,interarrival_cv,arrival_dist,dist_p1,dist_p2\n"


def test_the_busiest_window_is_scaled_to_the_rate_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv.gz"
    rows = "0,0,1,1,Gamma,1,1\n1,0,1,1,Gamma,1,1\n0,600,6,1,Gamma,0.5,1\n2,600,2,9,Weibull,0.4,1\n"
    file.write_bytes(gzip.compress((HEAD + rows).encode()))
    found = read_busiest(file, 100)
    assert [(each.id, each.rate, each.kind) for each in found] == [("c0", 75.0, "Gamma"), ("c2", 25.0, "Weibull")]


def test_a_file_with_other_columns_is_named(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv.gz"
    file.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    with pytest.raises(TraceBroken, match="window_start_s"):
        read_busiest(file, 100)


@pytest.mark.parametrize(("kind", "shape"), [("Gamma", 0.7), ("Weibull", 0.5), ("Weibull", 1.4)])
def test_a_client_calls_at_its_rate(kind: str, shape: float) -> None:
    times = Client(id="c", rate=50, kind=kind, shape=shape).times(400, Random(1))
    assert times == sorted(times)
    assert len(times) / 400 == pytest.approx(50, rel=0.1)


def test_others_that_wait_longer_or_fail_and_a_flood_that_passes_are_failures() -> None:
    found = Neighbours(
        clients=3, quiet_p99_ms=(10, 12), flooded_p99_ms=(20, 22), others_failed=1, flood_calls=5, flood_refused=0
    )
    assert len(found.failures()) == 3
    assert "1.91 times" in found.failures()[0]
