"""Installs the locked packages and the program into the environment that runs this.

    python tools/install.py run            the program, and what it and its Kafka need
    python tools/install.py development    what its tests and checks need besides

pip installs uv by its hash, and uv installs the rest: it downloads in parallel and verifies each
hash. On a machine without a uv, pip installs everything, in about a minute. uv uses pip's settings,
such as an index or a certificate.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
PIP = [sys.executable, "-m", "pip"]
QUIET = ["--quiet", "--disable-pip-version-check"]
HASHED = ["--require-hashes", "--requirement"]
UV = Path(sys.executable).with_name("uv")
#: The program in this folder, built with packages that are installed already.
PROGRAM = ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)]

#: Extras of pyproject.toml that ``make demo`` needs.
EXTRAS = "build", "embedded", "worker"
#: Variables of uv, and the equivalent settings of pip.
SETTINGS = {
    "UV_DEFAULT_INDEX": "index-url",
    "UV_INDEX": "extra-index-url",
    "UV_NO_INDEX": "no-index",
    "UV_FIND_LINKS": "find-links",
    "UV_INSECURE_HOST": "trusted-host",
    "SSL_CERT_FILE": "cert",
}
#: Those of them whose values uv separates by commas.
WITH_COMMAS = {"UV_FIND_LINKS"}


def main(what: str) -> None:
    """Install ``what``: ``run`` or ``development``."""
    environment = {**os.environ, **settings_of_pip()}
    with step("uv, which installs the rest"):
        install_uv()
    if not UV.exists():
        with step("all packages, by pip"):
            run([*PIP, "install", *QUIET, *HASHED, str(LOCK)])
        with step("the program"):
            run([*PIP, "install", *QUIET, *PROGRAM])
        return
    uv = [str(UV), "pip", "install", "--quiet", "--python", sys.executable]
    if what == "development":
        with step("what development needs"):
            run([*uv, *HASHED, str(LOCK)], environment)
        return
    extras = [word for name in EXTRAS for word in ("--extra", name)]
    with step("what a worker and its Kafka need"):
        wanted = ["--constraint", str(LOCK), *extras, *HASHED, str(ROOT / "pyproject.toml")]
        run([*uv, *wanted], environment)
    with step("the program, and its accelerator"):
        run([*uv, *PROGRAM], environment)


def install_uv() -> None:
    """Install the locked uv, if there is one for this machine."""
    (locked,) = re.findall(r"^uv==.*?(?=^\S|\Z)", LOCK.read_text(), re.MULTILINE | re.DOTALL)
    command = [*PIP, "install", *QUIET, "--no-deps", "--only-binary=:all:", *HASHED, "/dev/stdin"]
    subprocess.run(command, input=locked, text=True, check=False)  # noqa: S603 - our own command


def settings_of_pip() -> dict[str, str]:
    """Return pip's settings as variables of uv, without variables that are set already."""
    listed = subprocess.run(  # noqa: S603 - our own command
        [*PIP, "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    # Settings from the environment override the others.
    settings = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.*)$", listed, re.MULTILINE)
    settings.sort(key=lambda setting: setting[0] == ":env:")
    found = {name: value for _, name, value in settings}
    variables = {}
    for variable, name in SETTINGS.items():
        if name in found and variable not in os.environ:
            between = "," if variable in WITH_COMMAS else " "
            variables[variable] = between.join(ast.literal_eval(found[name]).split())
    return variables


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a command; if it fails, exit with its code, so that its output comes last."""
    done = subprocess.run(command, env=environment, check=False)  # noqa: S603 - our own command
    if done.returncode:
        sys.exit(done.returncode)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is being installed, and then how long it took."""
    sys.stdout.write(f"installing {what}")
    sys.stdout.flush()
    begun = time.monotonic()
    yield
    sys.stdout.write(f": {time.monotonic() - begun:.0f} s\n")


if __name__ == "__main__":
    main(sys.argv[1])
