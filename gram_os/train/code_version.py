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

    In the function's own package those functions, classes and assignments count that it uses, directly or through
    others. Of modules in other packages the whole counts, with the data files beside them, and so on through all
    imports of ours. `__init__` files do not count: they hold no code here.

    The hash is of the syntax trees, which may differ between versions of Python.
    """
    definitions, imports = _reach(function.__module__, function.__name__)
    modules = _closure(imports)
    digest = hashlib.sha256()
    for module, name in sorted(definitions):
        digest.update(f"{module} {name}\n{_read(module).definitions[name]}\n".encode())
    for module in sorted(modules):
        digest.update(f"{module}\n{_read(module).digest}\n".encode())
    if _TEXT_RULES in modules:
        digest.update(text_rules_version().encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class _Module:
    """A module's source, read.

    definitions: top-level name -> its syntax tree as text. uses: top-level name -> the names in it. imported: name ->
    the modules of ours that its import may mean, each with the name there. digest: of the whole module and of the data
    files beside it.
    """

    definitions: Mapping[str, str]
    uses: Mapping[str, frozenset[str]]
    imported: Mapping[str, frozenset[tuple[str, str]]]
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
    imported: dict[str, frozenset[tuple[str, str]]] = {}
    for name, modules in _imports(tree):
        imported[name] = imported.get(name, frozenset()) | modules
    return _Module(definitions, uses, imported, digest.hexdigest())


def _find(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # a name of a module, not a module
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _reach(module: str, name: str) -> tuple[set[tuple[str, str]], set[str]]:
    """The definitions of a package, (module, name), that one of them uses, and the other modules that these import."""
    package = module.rpartition(".")[0]
    definitions: set[tuple[str, str]] = set()
    imports: set[str] = set()
    waiting = [(module, name)]
    while waiting:
        at = waiting.pop()
        read = _read(at[0])
        for imported, original in read.imported.get(at[1], frozenset()):
            if imported.rpartition(".")[0] == package:
                waiting.append((imported, original))
            else:
                imports.add(imported)
        if at[1] in read.definitions and at not in definitions:
            definitions.add(at)
            waiting += [(at[0], used) for used in read.uses[at[1]]]
    return definitions, imports


def _closure(names: set[str]) -> set[str]:
    """These modules and all of ours that they import."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [module for modules in _read(name).imported.values() for module, _ in modules]
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
    """Each imported name with the modules of ours behind it. Imports inside functions count, those for types do not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == _PACKAGE:
                    yield alias.asname or _PACKAGE, frozenset({(alias.name, "")})
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _PACKAGE:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                modules = {(str(node.module), alias.name)} | ({(inner, "")} if _find(inner) else set())
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
