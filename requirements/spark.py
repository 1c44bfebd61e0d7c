"""Fills .venv/spark: Apache Spark for the tests that run it, apart from what everybody installs (479 MB).

Run by `make .venv/spark.stamp`. Without Java 17 it says so and installs nothing: those tests fail then. The lock file
holds hashes and no addresses, so any mirror serves.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPARK = ROOT / ".venv" / "spark"
_LEAST = 17


def main() -> int:
    began = time.monotonic()
    java = shutil.which("java")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr if java else ""
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _LEAST:
        do = "sudo apt-get install openjdk-17-jre-headless"
        sys.stdout.write(f"Apache Spark is left out, it needs Java {_LEAST}: {do}\n")
        return 0
    shutil.rmtree(SPARK, ignore_errors=True)
    step = [
        sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "--no-compile",
        "--require-hashes", "--no-build-isolation", "--target", str(SPARK), "-r", str(ROOT / "requirements/spark.lock"),
    ]  # fmt: skip
    ran = subprocess.run(
        step, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False
    )
    if ran.returncode:
        sys.stderr.write(f"error: {' '.join(step[:4])} … failed:\n{(ran.stdout + ran.stderr).strip()[-2000:]}\n")
        return 1
    sys.stdout.write(f"Apache Spark ✓        {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
