"""Fills .venv/clients and .venv/node: programs of others that the system tests run against a started server.

They have a folder of their own so that what we ship and check with stays small. Run by `make .venv/clients.stamp`; the
lock files hold hashes and no addresses, so any mirror serves.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / ".venv" / "clients"
NODE = ROOT / ".venv" / "node"


def main() -> int:
    began = time.monotonic()
    python = str(CLIENTS / "bin" / "python")
    steps = [
        [sys.executable, "-m", "venv", "--clear", str(CLIENTS)],
        [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", "--prefer-binary",
         "--require-hashes", "-r", str(ROOT / "requirements" / "clients.lock")],
    ]  # fmt: skip
    npm = shutil.which("npm")
    if npm is None:
        sys.stderr.write(
            "error: the checks of what we send to vendors run in Node.js, and npm is not on the PATH\n"
            "  do    sudo apt-get install npm      then again: make test\n"
        )
        return 1
    shutil.rmtree(NODE, ignore_errors=True)
    NODE.mkdir(parents=True)
    for file in (ROOT / "requirements" / "node").glob("package*.json"):
        shutil.copy(file, NODE)
    steps.append([npm, "ci", "--prefix", str(NODE), "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
    for step in steps:
        ran = subprocess.run(
            step, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False
        )
        if ran.returncode:
            sys.stderr.write(f"error: {' '.join(step[:4])} … failed:\n{(ran.stdout + ran.stderr).strip()[-2000:]}\n")
            return 1
    sys.stdout.write(f"clients and checkers of others ✓        {time.monotonic() - began:.0f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
