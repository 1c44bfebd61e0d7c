"""Apache Spark answers the questions to the lake that DuckDB answers, to the same digits. Needs the extra `spark` and
Java 17; a cluster's executors must see the files under the same paths as we do.

Loads pyspark when a session begins: only in processes that were told to use a cluster.
"""

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.storage.attempts import Question

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Between the values of a row on their way here: no name holds it. One text a row is read a hundred times as fast as a
#: value at a time.
_BETWEEN = "\x1f"
#: Of a machine of our own; a cluster has its own settings.
_LOCAL = {
    "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1", "spark.executor.memory": "1g",
    "spark.sql.shuffle.partitions": "8",
}  # fmt: skip
_ALWAYS = {
    "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # else more than 32 files are found by a task each on the cluster: 575 tasks before the first row is read
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000000",
}  # fmt: skip


#: Before a JVM is started somebody answers at the master's address in so long; Spark itself would try for minutes.
_CONNECT_S = 5.0
_CLUSTER = "spark://"


class SparkFailed(EntrepotError):
    """The cluster could not answer."""

    code = "spark_failed"
    fault = Fault.CALLER


def reach(master: str) -> None:
    """Raises SparkFailed unless `master` is no standalone cluster, or one of its masters takes a connection."""
    if not master.startswith(_CLUSTER):
        return
    tried = []
    for address in master.removeprefix(_CLUSTER).split(","):  # several: one leads, the others wait
        host, _, port = address.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
            raise SparkFailed(f"{master!r} is no address of a cluster: write spark://HOST:PORT, as in spark://one:7077")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
                return
        except OSError as error:
            tried.append(f"{address}: {error.strerror or error}")
    raise SparkFailed(
        f"no session at {master}: nobody answers there ({'; '.join(tried)}); start the cluster's master, or unset "
        "ENTREPOT_SPARK, and DuckDB answers here"
    )


class Spark:
    """A session at `master` ("spark://HOST:7077", "local-cluster[2,1,1024]"), as long as the process lives or until
    `stop`. Raises SparkFailed where there is none."""

    def __init__(self, master: str) -> None:
        from pyspark.sql import SparkSession

        reach(master)
        self._files: tuple[Path, ...] = ()
        own = master.startswith("local")
        if own:
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = SparkSession.builder.master(master).appName("entrepot")
        for name, value in {**_ALWAYS, **(_LOCAL if own else {})}.items():
            builder = builder.config(name, value)
        with _said(f"no session at {master}, where something listens (is it a master of this Spark?)"):
            self._session = builder.getOrCreate()
            self._session.sparkContext.setLogLevel("ERROR")

    def answer(self, files: Sequence[Path], question: Question) -> list[tuple[Any, ...]]:
        """The rows of a question to these files: texts as they are, numbers as integers. Raises SparkFailed."""
        return list(self.rows(files, question))

    def rows(self, files: Sequence[Path], question: Question) -> Iterator[tuple[Any, ...]]:
        """The same, row by row."""
        if not files:
            return
        with _said("usage cannot be summed up"):
            if tuple(files) != self._files:
                self._session.read.parquet(*map(str, files)).createOrReplaceTempView("attempts")
                self._files = tuple(files)
            self._session.sql(f"CREATE OR REPLACE TEMP VIEW endings AS {question.view('attempts')}")
            yield from _rows(self._session.sql(question.text()))

    def stop(self) -> None:
        self._session.stop()


def _rows(frame: "DataFrame") -> Iterator[tuple[Any, ...]]:
    """Partition after partition, so that not all of them lie in the driver's memory as well."""
    texts = [kind == "string" for _, kind in frame.dtypes]
    values = ", ".join(f"CAST(`{name}` AS STRING)" for name in frame.columns)
    for row in frame.selectExpr(f"concat_ws('{_BETWEEN}', {values})").toLocalIterator():
        said = row[0].split(_BETWEEN)
        yield tuple(value if text else int(value) for value, text in zip(said, texts, strict=True))


@contextmanager
def _said(what: str) -> Iterator[None]:
    """What Spark or Java raises, as one line."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - py4j raises what Java says, of no common kind
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        told = next((line[2:] for line in lines if line.startswith(": ")), lines[0])  # py4j's own line comes first
        raise SparkFailed(f"{what}: Apache Spark says {told[:300]}") from None
