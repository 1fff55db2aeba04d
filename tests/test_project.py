"""What stands beside the code agrees with it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_configuration_page_is_what_the_settings_say():
    """docs/configuration.md is generated, and up to date."""
    namespace: dict = {"__file__": str(ROOT / "docs" / "build.py"), "__name__": "build"}
    exec(compile((ROOT / "docs" / "build.py").read_text(), "build.py", "exec"), namespace)

    assert (ROOT / "docs" / "configuration.md").read_text() == namespace["page"](), "make docs"


def test_every_link_between_documents_leads_somewhere():
    """No page points at a file that is not there."""
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_readme_example_gives_what_it_says():
    """The Python example of the README runs, and its comment is true."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    *lines, last = code.strip().splitlines()
    expression, said = last.split("  # ")
    namespace: dict = {}
    exec("\n".join(lines), namespace)

    assert eval(expression, namespace) == float(said)


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
def test_compose_file_is_well_formed():
    """docker-compose accepts the file, and names its services."""
    done = subprocess.run(
        ["docker-compose", "config", "--services"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert {"kafka", "topics", "worker"} <= set(done.stdout.split())


def test_container_runs_the_commands_that_there_are():
    """Each command in the compose file is one of `faust -A app`'s."""
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
