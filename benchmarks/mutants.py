"""Do the tests notice? Plants one small fault after the other in a module and runs the tests named beside it.

    python -m benchmarks.mutants --module echomimic/diffusion/windows.py --tests
    tests/diffusion/test_windows.py

A mutant is the module with one comparison, arithmetic operator, number, condition or statement changed. No
file is touched: every mutant is tried in a child process whose import of the module gives the changed code.
It is killed when a test fails (or hangs), and survives when all pass: a survivor is a missing test, or a
change that makes no difference. Tests that start the program in a process of its own do not see the mutant.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

_SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}
_NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
_COSTLY = (
    "numpy",
    "cv2",
    "av",
    "PIL",
    "hypothesis",
    "pytest",
    "onnxruntime",
    "safetensors",
    "torch",
    "transformers",
)
"""What children would else import again and again."""
_PRELOADED = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
"""Some of it brings pytest plugins along; that their asserts are plain ones does not matter here."""


@dataclass(frozen=True)
class Mutant:
    """One changed module. ``line`` is where; ``before`` and ``after`` are the changed code."""

    line: int
    before: str
    after: str
    tree: ast.Module


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module's source, in the order of its text."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    hidden = {id(node) for node in _unread(tree)}
    found = []
    for place, node in enumerate(nodes):
        if id(node) not in hidden:
            found += [_planted(tree, place, change) for change in _changes(node)]
    return sorted(found, key=lambda mutant: mutant.line)


def _unread(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations, type aliases and what only a type checker reads: changing them changes nothing."""
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign):
            alias = "TypeAlias" in ast.unparse(node.annotation)
            parts = [node.annotation, node.value if alias else None]
        elif isinstance(node, ast.arg):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            parts = [node]
        for part in parts:
            yield from ast.walk(part) if part else ()


Change = Callable[[ast.AST], ast.AST]


def _changes(node: ast.AST) -> list[Change]:
    """The ways in which one piece of code is made wrong."""
    if isinstance(node, ast.Compare):
        return [_operator_at(i) for i, op in enumerate(node.ops) if type(op) in _SWAPS]
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign | ast.UnaryOp) and type(node.op) in _SWAPS:
        return [_swap_operator]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [lambda it: it.operand]
    if isinstance(node, ast.Constant):
        return [_number(value) for value in _other_numbers(node.value)]
    if isinstance(node, ast.Name | ast.Attribute) and _name(node) in _NAMES:
        return [_rename]
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        return [_negate]
    return [_remove] if _removable(node) else []


def _other_numbers(value: object) -> list[float]:
    """One more, one less, twice as much; nothing for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    values: set[float] = {value + 1, value * 2}
    if isinstance(value, int):
        values.add(value - 1)
    return sorted(values - {value})


def _removable(node: ast.AST) -> bool:
    """Statements without which the rest still runs; the loss of a name would always be noticed."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant | ast.Yield | ast.YieldFrom)
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Subscript | ast.Attribute) for target in node.targets)
    return isinstance(node, ast.AugAssign | ast.Raise)


def _operator_at(place: int) -> Change:
    def change(node: ast.AST) -> ast.AST:
        assert isinstance(node, ast.Compare)
        node.ops[place] = _SWAPS[type(node.ops[place])]()
        return node

    return change


def _swap_operator(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign | ast.UnaryOp)
    node.op = _SWAPS[type(node.op)]()
    return node


def _number(value: float) -> Change:
    return lambda node: ast.copy_location(ast.Constant(value), node)


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _rename(node: ast.AST) -> ast.AST:
    setattr(node, "id" if isinstance(node, ast.Name) else "attr", _NAMES[_name(node)])
    return node


def _negate(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.If | ast.IfExp | ast.While)
    node.test = ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test)
    return node


def _remove(node: ast.AST) -> ast.AST:
    return ast.copy_location(ast.Pass(), node)


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, change: Change) -> None:
        self.old, self.change = old, change
        self.before, self.after = ast.unparse(old).splitlines()[0], ""

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.old:
            return self.generic_visit(node)
        new = self.change(node)
        self.after = ast.unparse(new).splitlines()[0]
        return new


def _planted(tree: ast.Module, place: int, change: Change) -> Mutant:
    changed = copy.deepcopy(tree)
    old = list(ast.walk(changed))[place]
    swap = _Replace(old, change)
    line = getattr(old, "lineno", 0)
    new = ast.fix_missing_locations(swap.visit(changed))
    assert isinstance(new, ast.Module)
    return Mutant(line, swap.before, swap.after, new)


class _Loader(SourceFileLoader):
    """Gives the changed module instead of the one in the file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self.tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.tree, self.path, "exec")


class _Finder:
    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(
        self, name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.path, loader=_Loader(name, self.path, self.tree)
        )


def is_noticed(module: Path, tree: ast.Module, tests: Sequence[str], seconds: float) -> bool:
    """Whether a test fails, or takes longer than ``seconds``, when ``module`` is what ``tree`` says."""
    child = os.fork()
    if not child:
        _run_and_leave(module, tree, tests)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _run_and_leave(module: Path, tree: ast.Module, tests: Sequence[str]) -> None:
    """In a child: run the tests on the changed module; the exit status is 0 when all pass."""
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)
    status = 1
    try:
        import pytest

        name = ".".join(module.with_suffix("").parts)
        sys.meta_path.insert(0, _Finder(name, module.absolute(), tree))
        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-W", _PRELOADED, *tests]))
    finally:
        os._exit(status)


def _preload() -> None:
    for name in _COSTLY:
        with suppress(ImportError):
            importlib.import_module(name)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--module", type=Path, required=True, help="file to plant faults in, below the working folder"
    )
    parser.add_argument("--tests", nargs="+", required=True, help="what pytest runs: files, or file::test")
    parser.add_argument("--sample", type=int, default=20, help="mutants to try, drawn by --seed; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--seconds", type=float, default=60, help="a mutant that takes longer counts as noticed"
    )
    return parser.parse_args()


def main() -> int:
    """Print the survivors and a count; the exit status is 1 when there are any,
    2 when the tests fail as they are."""
    given = _arguments()
    source = given.module.read_text(encoding="utf-8")
    _preload()
    sys.path.insert(0, os.getcwd())
    if is_noticed(given.module, ast.parse(source), given.tests, given.seconds):
        print(f"{given.module}: the tests fail, or take over {given.seconds:g} s, without any mutant")
        return 2
    every = mutants(source)
    tried = every
    if 0 < given.sample < len(every):
        tried = sorted(random.Random(given.seed).sample(every, given.sample), key=lambda mutant: mutant.line)
    alive = 0
    for mutant in tried:
        if not is_noticed(given.module, mutant.tree, given.tests, given.seconds):
            alive += 1
            print(f"{given.module}:{mutant.line}: survived: {mutant.before}  ->  {mutant.after}", flush=True)
    print(f"{given.module}: {len(tried) - alive} of {len(tried)} noticed ({len(every)} possible)", flush=True)
    return bool(alive)


if __name__ == "__main__":
    sys.exit(main())
