"""tornadoc/_native.pyi says what the extension module has."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tornadoc import _native

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / "tornadoc" / "_native.pyi"

# What every module and class has, and what slots define without a stub's help.
GIVEN = set(dir(type("Anything", (), {}))) | {"__module__", "__name__", "__file__", "__loader__", "__package__", "__spec__"}
# Python puts it on a class that is asked for it.
GIVEN.add("__annotations__")
#: Storage of the native code, on the type only because types hold such things.
HIDDEN = {"HTTPHeaders": {"_pairs_type"}, "ArgumentMethod": {"__vectorcalloffset__"}}


def declared(body: list[ast.stmt]) -> set[str]:
    names = set()
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not is_alias(node):
            names.add(node.target.id)
    return names


def is_alias(node: ast.AnnAssign) -> bool:
    """Only the stub knows it."""
    return isinstance(node.annotation, ast.Name) and node.annotation.id == "TypeAlias"


MODULE = ast.parse(STUB.read_text("utf-8"))
CLASSES = {node.name: node for node in MODULE.body if isinstance(node, ast.ClassDef)}


def test_module_has_what_is_declared_and_no_more():
    assert declared(MODULE.body) - GIVEN == set(vars(_native)) - GIVEN


@pytest.mark.parametrize("name", CLASSES)
def test_class_has_what_is_declared_and_no_more(name: str):
    defined = set(vars(getattr(_native, name)))
    names = declared(CLASSES[name].body)
    assert names <= defined | GIVEN
    assert defined - names - GIVEN - HIDDEN.get(name, set()) == set()


@pytest.mark.parametrize("name", CLASSES)
def test_only_attributes_that_can_be_set_are_declared_so(name: str):
    """A property in the stub is read-only in C, and the reverse."""
    cls = getattr(_native, name)
    for node in CLASSES[name].body:
        if isinstance(node, ast.FunctionDef) and any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list):
            with pytest.raises(AttributeError):
                vars(cls)[node.name].__delete__(make(cls))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            assert hasattr(vars(cls)[node.target.id], "__set__")


def make(cls: type) -> object:
    """An object without a Python half."""
    try:
        plain = type("Plain", (cls,), {})
        return plain.__new__(plain)
    except TypeError as e:
        pytest.skip(str(e))


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_stubtest_agrees(tmp_path: Path):
    """Signatures and kinds, as mypy.stubtest compares them."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "tornadoc._native", "--concise"],
        cwd=ROOT,
        env={**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "MYPY_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
