"""Every code block of the documents is run, or at least checked by the program it is for."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from tests.documents import blocks
from tests.worker import ROOT
from views.openapi import describe_routes

if TYPE_CHECKING:
    from tests.documents import Block


def of(*languages: str) -> list[Any]:
    """Return the blocks in the given languages as parameters."""
    return [
        pytest.param(block, id=f"{block.page}:{block.line}")
        for block in blocks()
        if block.language in languages
    ]


def test_every_block_is_in_a_language_that_is_tested() -> None:
    # py: tests/integration/test_producers_of_the_page.py, yaml: tests/monitoring/test_rules.py
    # sql: tests/integration/test_export.py, against files that the program wrote
    tested = {"python", "console", "json", "py", "yaml", "sql"}
    assert {block.language for block in blocks()} <= tested


def test_blocks_that_other_modules_test_stand_where_those_look_for_them() -> None:
    pages = {(block.language, block.page) for block in blocks() if block.language in {"py", "yaml"}}
    assert pages == {("py", "docs/how-to/produce.md"), ("yaml", "docs/how-to/monitor.md")}


#: Examples with this import need workers: tests/views/test_client_page.py runs them.
CLIENT = "from reels_client import"


@pytest.mark.parametrize(
    "block", [each for each in of("python") if CLIENT not in each.values[0].text]
)
def test_python_runs_and_gives_what_its_comments_say(block: Block) -> None:
    namespace: dict[str, Any] = {}
    for statement in re.split(r"(?<=\n)(?=\S)(?![)\]}])", block.text):
        code, _, said = statement.strip().partition("  # ")
        if said:
            assert eval(code, namespace) == eval(said, {}), code
        else:
            exec(code, namespace)


@pytest.mark.parametrize("block", of("json"))
def test_json_is_what_a_route_answers(block: Block) -> None:
    answer = json.loads(block.text)
    description = describe_routes()
    schemas = {**description["components"]["schemas"]}
    fitting = [
        name
        for name in schemas
        if Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
        ).is_valid(answer)
    ]
    assert fitting


@cache
def help_of(*words: str) -> str:
    """Return the help text of one of the program's commands."""
    done = subprocess.run(
        [sys.executable, "-m", *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def check_faust(words: list[str]) -> None:
    """Check that the help lists the options of a command line."""
    assert words[:2] == ["-A", "app"]
    command = next(word for word in words[2:] if not word.startswith("-"))
    known = help_of("faust", "-A", "app", command) + help_of("faust", "-A", "app")
    for word in words[2:]:
        if word.startswith("-"):
            assert re.search(rf"(?<!\S){re.escape(word.partition('=')[0])}(?![\w-])", known), word


@pytest.mark.parametrize("block", of("console"))
def test_commands_are_ones_that_there_are(block: Block) -> None:
    routes = describe_routes()["paths"]
    for line in block.text.splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if not words:
            continue
        program, *rest = words
        if program == "make":
            subprocess.run(["make", "-n", *rest], cwd=ROOT, check=True, capture_output=True)
        elif program in {"faust", ".venv/bin/faust"}:
            check_faust(rest)
        elif program == "curl":
            path = re.sub(r"^http://127\.0\.0\.1:6066|\?.*$", "", rest[-1])
            known = [re.sub(r"\{\w+\}", "[0-9]+", route) for route in routes]
            assert any(re.fullmatch(route, path) for route in known), path
        else:
            pytest.fail(f"nothing checks this command: {line}")


#: Folders whose code a worker or a command runs.
FOLDERS = (
    *("accelerator", "agents", "auditing", "commands", "embedded", "exporting", "models"),
    *("monitoring", "rescaling", "sizing", "streaming", "tables", "views"),
)


@cache
def texts_of_the_program() -> list[str]:
    """Return all strings in the program's code, split at their placeholders."""
    paths = [*ROOT.glob("*.py")]
    for folder in FOLDERS:
        paths += (ROOT / folder).rglob("*.py")
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text()))]
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    # Placeholders of format and of log calls also end a part.
    return [
        part
        for text in constants
        if isinstance(text, str)
        for part in re.split(r"\{\w*\}|%s", text)
    ]


@pytest.mark.parametrize("page", ["runbook.md", "how-to/rescale.md"])
def test_what_pages_explain_is_what_the_program_says(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    table = re.search(r"^\| it says \|.*\n\|[ -|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table is not None
    said = re.findall(r"^\| `(.+?)` \|", table[1], re.MULTILINE)
    assert len(said) == table[1].count("\n")
    for words in said:
        for part in filter(None, (each.strip() for each in re.split("…", words))):
            assert any(part in each for each in texts_of_the_program()), part
