"""The version of the code behind a function: a hash over everything of ours that it can reach.

A stage's key holds it, so that what an older normaliser or miner left in `work` is never mixed with what a newer one
makes. Nobody has to remember to raise a number. Comments, docstrings and formatting do not count. Code of other
packages does not count either, but for the text rules: they hold how the installed stemmer behaves.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gram_os.text.rules import text_rules_version

_PACKAGE = "gram_os"
_TEXT_RULES = "gram_os.text.normalise"  # whoever reaches this module depends on the text rules


def code_version(function: Callable[..., object]) -> str:
    """SHA-256 of the code that a function of a module of ours can reach.

    In the function's own module those definitions count that it uses, directly or through others. Of the modules that
    these import, the whole counts, with the data files beside them, and so on through all imports of ours.

    The hash is of the syntax trees, which may differ between versions of Python.
    """
    module = _read(function.__module__)
    definitions, imports = _reach(module, function.__name__)
    modules = _closure(imports)
    digest = hashlib.sha256()
    for name in sorted(definitions):
        digest.update(f"{name}\n{module.definitions[name]}\n".encode())
    for name in sorted(modules):
        digest.update(f"{name}\n{_read(name).digest}\n".encode())
    if _TEXT_RULES in modules:
        digest.update(text_rules_version().encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Module:
    """A module's source, read.

    definitions: top-level name -> its syntax tree as text. uses: top-level name -> the names in it. imported: name ->
    the modules of ours that its import loads. digest: of the whole module and of the data files beside it.
    """

    definitions: Mapping[str, str]
    uses: Mapping[str, frozenset[str]]
    imported: Mapping[str, frozenset[str]]
    digest: str


@cache
def _read(name: str) -> _Module:
    path = _find(name)
    assert path is not None, name  # noqa: S101 (it was imported)
    tree = _without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
    definitions: dict[str, str] = {}
    uses: dict[str, frozenset[str]] = {}
    for node in tree.body:
        for defined in _defined_names(node):
            definitions[defined] = definitions.get(defined, "") + ast.dump(node)
            uses[defined] = uses.get(defined, frozenset()) | frozenset(_used_names(node))
    digest = hashlib.sha256(ast.dump(tree).encode())
    for file in sorted(path.parent.iterdir()):
        if file.is_file() and file.suffix not in (".py", ".pyc"):
            digest.update(file.read_bytes())
    return _Module(definitions, uses, dict(_imports(tree)), digest.hexdigest())


def _find(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name of a module, not a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _reach(module: _Module, name: str) -> tuple[set[str], set[str]]:
    """The definitions of a module that one of them uses, and the modules that all of these import."""
    definitions: set[str] = set()
    imports: set[str] = set()
    waiting = [name]
    while waiting:
        at = waiting.pop()
        imports |= module.imported.get(at, frozenset())
        if at in module.definitions and at not in definitions:
            definitions.add(at)
            waiting += module.uses[at]
    return definitions, imports


def _closure(names: set[str]) -> set[str]:
    """These modules and all of ours that they import."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            for imported in _read(name).imported.values():
                waiting += imported
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[str, frozenset[str]]]:
    """Each imported name with the modules of ours behind it; imports inside functions count, those for types do not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            assert node.module is not None  # noqa: S101 (no relative imports here)
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                modules = {node.module} | ({inner} if _find(inner) else set())
                yield alias.asname or alias.name, frozenset(modules)


def _defined_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _used_names(node: ast.AST) -> Iterator[str]:
    """The names in a definition. Annotations run nothing and are left out."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _used_names(child)
    if isinstance(node, ast.Name):
        yield node.id


class _Stripper(ast.NodeTransformer):
    """Takes out docstrings and what is only imported for types."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _without_docstrings(tree: ast.Module) -> ast.Module:
    stripped = _Stripper().visit(tree)
    assert isinstance(stripped, ast.Module)  # noqa: S101
    return stripped
