"""The page's table of twins is correct: both forms exist, name each other, and have equal names."""

from __future__ import annotations

import re
from importlib import import_module
from inspect import getsource, isclass, signature
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from models import _protocols
from tests.worker import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable


PAGE = ROOT / "docs" / "architecture.md"


def twins() -> list[tuple[list[str], str, list[str]]]:
    """Return the rows of the table: plain files, compiled file, and common names."""
    table = PAGE.read_text().partition("## Twins")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]*) \| `(accelerator/[^`]*)` \|([^|]*)\|$", table, re.MULTILINE)
    return [
        (re.findall(r"`([^`]+)`", plain), compiled, re.findall(r"`(\w+)`", names))
        for plain, compiled, names in rows
    ]


TWINS = twins()
PAIRS = [(plain, compiled, name) for plain, compiled, names in TWINS for name in names]


def module_of(path: str) -> str:
    return path.rpartition(".")[0].replace("/", ".")


def form_of(paths: list[str], name: str) -> Any:
    """Return the definition of a name from one of the modules."""
    found = [vars(import_module(module_of(path))).get(name) for path in paths]
    found = [each for each in found if each is not None]
    assert found, f"none of {paths} has {name}"
    return found[0]


def members(protocol: type) -> set[str]:
    """Return the names that a protocol requires, including those of protocols that it extends."""
    return {
        name
        for each in protocol.__mro__[: protocol.__mro__.index(Protocol)]
        for name in vars(each)
        if not name.startswith("_") or name in {"__len__", "__getitem__"}
    }


def parameters(function: Callable[..., object]) -> list[tuple[str, bool, bool]]:
    """Return names, whether they are keyword-only, and whether they are optional."""
    return [
        (each.name, each.kind is each.KEYWORD_ONLY, each.default is not each.empty)
        for each in signature(function).parameters.values()
    ]


def test_every_compiled_module_has_its_row() -> None:
    """A new compiled module names its plain form."""
    compiled = {str(path.relative_to(ROOT)) for path in (ROOT / "accelerator").glob("*.pyx")}
    assert compiled <= {path for _, path, _ in TWINS}


def test_every_protocol_of_a_class_is_held_to_by_a_pair() -> None:
    """A class of one form must have a twin."""
    helpers = {"Layer", "MakeChunk", "MakeDeltaChunk", "PackRecords", "WriteBatch"}
    classes = {
        name
        for name, each in vars(_protocols).items()
        if isclass(each) and each.__module__ == _protocols.__name__
    }
    assert classes - helpers == {name for *_, name in PAIRS if name[0].isupper()}


@pytest.mark.parametrize(("plain", "compiled", "_"), TWINS, ids=str)
def test_a_plain_form_names_its_compiled_one(plain: list[str], compiled: str, _: list[str]) -> None:
    """A reader of the plain form finds the compiled one."""
    assert (ROOT / compiled).is_file()
    for path in plain:
        assert module_of(compiled) in (ROOT / path).read_text(), f"{path} does not name {compiled}"


@pytest.mark.parametrize(("plain", "compiled", "name"), PAIRS, ids=str)
def test_both_forms_have_the_same_names_and_signatures(
    plain: list[str], compiled: str, name: str
) -> None:
    """A call that works on one form works on the other."""
    ours, theirs = form_of(plain, name), form_of([compiled], name)
    if not isclass(ours):
        assert parameters(ours) == parameters(theirs)
        return
    protocol = getattr(_protocols, name)
    for member in members(protocol):
        wanted = vars(protocol).get(member) or getattr(protocol, member)
        assert hasattr(theirs, member), f"the compiled {name} has no {member}"
        if isinstance(wanted, property):
            assert hasattr(ours, member) or f"self.{member} = " in getsource(ours)
        elif member.startswith("_"):
            assert hasattr(ours, member)
        else:
            asked = parameters(wanted)
            assert parameters(getattr(ours, member)) == asked
            assert parameters(getattr(theirs, member)) == asked
