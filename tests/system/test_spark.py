"""Apache Spark in the place of DuckDB, by one setting: the same rows, bills and facts to the last digit, on a cluster
of two executors that are processes of their own."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bench.billing_month import write_lake

from entrepot.insight.books import Asked
from entrepot.storage import reading
from entrepot.storage.folder import Folder
from entrepot.storage.spark import reach
from sold_house import SoldHouse, used
from spark_answers import files, questions, written

ROOT = Path(__file__).resolve().parents[2]
SPARK = ROOT / ".venv" / "spark"
MASTER = "local-cluster[2,1,1024]"
#: A machine that does other things needs a minute for a session.
_LONGEST_S = 600


@pytest.fixture(scope="module", autouse=True)
def spark() -> None:
    there = (SPARK / "pyspark").exists() and shutil.which("java") is not None
    assert there, f"{SPARK} is missing: install Java 17 (openjdk-17-jre-headless), then make .venv/spark.stamp"


def with_spark(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(SPARK), str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, **more}


@pytest.fixture(scope="module")
def lake_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made month with some 30 customers."""
    folder = Folder(tmp_path_factory.mktemp("lake"))
    folder.create()
    (folder.lake / "w1").mkdir()
    write_lake(folder, 40_000, 30, 1)
    return folder.lake


def test_every_statement_gives_the_rows_of_duckdb(lake_folder: Path, tmp_path: Path) -> None:
    script = ROOT / "tests" / "spark_answers.py"
    done = subprocess.run(
        [sys.executable, str(script), MASTER, str(lake_folder), str(tmp_path)], env=with_spark(), capture_output=True,
        text=True, timeout=_LONGEST_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for name, question in questions().items():
        ours = json.loads((tmp_path / f"{name}.json").read_text())
        theirs = written(reading.answer(files(lake_folder), question, {}))
        assert len(theirs) > 10
        assert ours == theirs, name


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> SoldHouse:
    house = SoldHouse(tmp_path_factory.mktemp("house"))
    house.serve([
        used("kontor", "2026-09-03", 4_000_000, 1_000_000),
        used("kontor", "2026-09-04", 2_000_000, 500_000, vendor="borealis", zone="FI"),
        used("wien", "2026-09-10", 900_001, 300_007, model="nord-1", vendor="nordlicht"),
        used("wien", "2026-10-31", 5_000_000, 9_000_000, model="aurora-small", costed=False),
    ])  # fmt: skip
    house.ingest()
    return house


@pytest.mark.parametrize(
    ("module", "arguments", "question"),
    [
        ("insight.gathering", (), msgspec.json.encode(
            Asked(kind="earned", starts_on="2026-09-01", until="2026-11-01")
        )),
        ("bills.rating", ("2026-09",), b""),
    ],
)
def test_bills_and_facts_are_the_same_by_one_setting(
    house: SoldHouse, module: str, arguments: tuple[str, ...], question: bytes
) -> None:
    command = [sys.executable, "-m", f"entrepot.keeper.{module}", str(house.folder.root), *arguments]
    said = [
        subprocess.run(
            command, input=question, env=environment, capture_output=True, timeout=_LONGEST_S, check=True
        ).stdout
        for environment in (with_spark(), with_spark(ENTREPOT_SPARK=MASTER))
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(said[0]) > 100


@pytest.mark.parametrize(
    ("master", "said"),
    [
        ("spark://127.0.0.1:1", "nobody answers there (127.0.0.1:1: Connection refused); start the cluster's"),
        ("spark://127.0.0.1:1,127.0.0.1:2", "(127.0.0.1:1: Connection refused; 127.0.0.1:2: Connection refused)"),
        ("spark://there", "'spark://there' is no address of a cluster: write spark://HOST:PORT"),
    ],
)
def test_a_master_that_nobody_answers_for_is_a_sentence_within_seconds(
    house: SoldHouse, master: str, said: str
) -> None:
    asked = msgspec.json.encode(Asked(kind="earned", starts_on="2026-09-01", until="2026-11-01"))
    done = subprocess.run(
        [sys.executable, "-m", "entrepot.keeper.insight.gathering", str(house.folder.root)], input=asked,
        env=with_spark(ENTREPOT_SPARK=master), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert (done.returncode, told["code"]) == (1, "spark_failed")
    assert said in told["message"]


def test_one_of_several_masters_is_enough() -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        reach(f"spark://127.0.0.1:1,127.0.0.1:{there.getsockname()[1]}")
    reach(MASTER)
