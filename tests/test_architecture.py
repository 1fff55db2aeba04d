"""All imports, also those for type hints only, are allowed by docs/architecture.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from tests.worker import ROOT

if TYPE_CHECKING:
    from pathlib import Path


PAGE = ROOT / "docs" / "architecture.md"

#: Folders with the program's own modules; tests may import everything.
FOLDERS = (
    *("accelerator", "agents", "auditing", "benchmarks", "commands", "docs", "embedded"),
    *("exporting", "loadgen", "models", "monitoring", "reels_client", "rescaling", "sizing"),
    *("streaming", "tables", "views"),
)

#: Packages that the pure modules may import besides the standard library.
PURE = {"models", "msgspec", "numpy", "xxhash"}


def modules() -> dict[str, Path]:
    """Return all modules of the program by name, each with its file."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py*")]
    paths = [path for path in [*ROOT.glob("*.py"), *paths] if path.suffix in {".py", ".pyi"}]
    found = {}
    for path in paths:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = path
    return {name: path for name, path in found.items() if name != "setup"}


MODULES = modules()


def names_of(source: str) -> set[str]:
    """Return the dotted names that a module imports; those of ``from`` with the imported name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names |= {f"{node.module}.{each.name}" for each in node.names}
    return names


def imported(source: str) -> set[str]:
    """Return the program's modules that a source imports."""
    found = set()
    for name in names_of(source):
        found |= {name if name in MODULES else name.rpartition(".")[0]} & MODULES.keys()
    return found


IMPORTS = {name: imported(path.read_text()) - {name} for name, path in MODULES.items()}


def room_of(module: str) -> str:
    """Return the row of the page that a module belongs to."""
    first, *rest = module.split(".")
    if first.startswith("setting"):
        return "settings"
    is_subfolder = first == "streaming" and rest and (ROOT / first / rest[0]).is_dir()
    return f"{first}/{rest[0]}" if is_subfolder else first


def allowed() -> dict[str, set[str]]:
    """Return the imports that the page allows, by row."""
    table = PAGE.read_text().partition("## Allowed imports")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w/]+)` \| (.*?) \|$", table, re.MULTILINE)
    return {name: set(re.findall(r"`([\w/]+)`", known)) for name, known in rows}


ALLOWED = allowed()


def test_imports_are_read_also_where_only_types_need_them() -> None:
    """Plain imports, imports for type hints, and imports inside functions are all found."""
    source = "import settings\nif TYPE_CHECKING:\n    from views import health\n"
    source += "def f():\n    from streaming.ports import BatchSink\n"
    assert imported(source) == {"settings", "views.health", "streaming.ports"}


def test_every_folder_has_its_row() -> None:
    """Each folder has a row in the page."""
    assert {room_of(name) for name in MODULES} == ALLOWED.keys()


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_folder_knows_only_what_the_page_allows(room: str) -> None:
    """A reader of a folder needs to know only the folders that its row names."""
    wrong = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        if room_of(module) == room
        for other in others
        if room_of(other) not in {room, *ALLOWED[room]}
    }
    assert not wrong


def test_no_arrow_of_the_page_is_for_nothing() -> None:
    """Each folder that a row names is imported by that row's folder."""
    for room, others in ALLOWED.items():
        known = {
            room_of(o) for module, them in IMPORTS.items() if room_of(module) == room for o in them
        }
        assert others <= known, f"{room} does not import {others - known}"


def test_folders_know_each_other_one_way_only() -> None:
    """The imports that the page allows contain no cycle of folders."""
    try:
        list(TopologicalSorter(ALLOWED).static_order())
    except CycleError as exc:
        pytest.fail(f"circle of folders: {exc.args[1]}")


def test_no_two_files_know_each_other() -> None:
    """The imports of files contain no cycle, not even through type hints."""
    try:
        list(TopologicalSorter(IMPORTS).static_order())
    except CycleError as exc:
        pytest.fail(f"circle of files: {exc.args[1]}")


def test_the_domain_is_pure() -> None:
    """``models/`` and ``reels.py`` need the standard library, msgspec, numpy and xxhash only.

    ``reels.py`` also imports accelerator/, which alone chooses the plain or the compiled form.
    """
    for name, path in MODULES.items():
        if (room := room_of(name)) in {"models", "reels"}:
            needed = {each.partition(".")[0] for each in names_of(path.read_text())}
            allowed = PURE | ({"accelerator"} if room == "reels" else set())
            assert needed - sys.stdlib_module_names <= allowed, name


def test_the_three_functions_need_no_kafka() -> None:
    """``import reels`` loads neither Faust nor a Kafka client nor RocksDB."""
    heavy = ("faust", "aiokafka", "rocksdict", "aiohttp", "streaming", "settings")
    code = f"import sys, reels; sys.exit(', '.join(set({heavy!r}) & set(sys.modules)) or 0)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
