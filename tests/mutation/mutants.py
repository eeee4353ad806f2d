"""The mutants of a module: the same code with one expression changed, as mutmut changes it.

A mutant is not imported: the code of the one function that it changes is exchanged in the process
that has the module already. So everything that has a hold of the function has the mutant too.
"""

from __future__ import annotations

import ast
import gc
import types
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor, OuterFunctionProvider
from mutmut.mutation.mutators import mutation_operators, operator_string
from mutmut.mutation.pragma_handling import IgnoredCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

PROJECT: Final = Path(__file__).parents[2]

#: mutmut's changes but those of strings: most strings are messages, and a few tests compare all of
#: these with what a person reads.
_OPERATORS: Final = [each for each in mutation_operators if each[1] is not operator_string]


class Mutant(NamedTuple):
    """A change of one function of a module."""

    module: str
    function: str
    #: The first line of the function, and the line that is changed, as they are numbered.
    begins: int
    line: int
    #: The lines that differ.
    was: str
    becomes: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is known by, whatever is changed elsewhere in the module."""
        return self.module, self.function, self.was, self.becomes


class _Visitor(MutationVisitor):
    """mutmut leaves functions with decorators alone, as it makes copies of them. Nothing is copied
    here."""

    METADATA_DEPENDENCIES = (PositionProvider, OuterFunctionProvider)

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            return False
        # The default of a parameter is not part of the code of a function.
        return isinstance(node, cst.Param) or super()._skip_node_and_children(node)


def mutants_of(module: str) -> list[Mutant]:
    """Those of a module, which is named by its path in the project, in the order of its lines. Each
    has lines of its own: of two that look alike in one function there is the first."""
    code = (PROJECT / module).read_text()
    wrapper = MetadataWrapper(cst.parse_module(code), unsafe_skip_copy=True)
    visitor = _Visitor(_OPERATORS, IgnoredCode(set(), set(), set()))
    tree = wrapper.visit(visitor)
    positions = wrapper.resolve(PositionProvider)
    found: dict[tuple[str, str, str, str], Mutant] = {}
    for mutation in visitor.mutations:
        top = mutation.contained_by_top_level_function
        if not isinstance(top, cst.FunctionDef):
            continue
        changed = top.deep_replace(mutation.original_node, mutation.mutated_node)
        for statement in tree.body:
            where = _replaced(tree, statement, top, changed)
            if where is not None:
                name, new = where
                mutant = _mutant(module, name, positions[top.name].start.line, code, new.code)
                if mutant is not None:
                    found.setdefault(mutant.key, mutant)
    return sorted(found.values(), key=lambda each: each.line)


def _replaced(
    tree: cst.Module, statement: cst.CSTNode, old: cst.FunctionDef, new: object
) -> tuple[str, cst.Module] | None:
    """The module with a function replaced that is a statement of it, or a method of one."""
    assert isinstance(new, cst.FunctionDef)
    name = old.name.value
    replaced: cst.CSTNode
    if statement is old:
        replaced = new
    elif isinstance(statement, cst.ClassDef) and old in statement.body.body:
        body = [new if each is old else each for each in statement.body.body]
        replaced = statement.with_changes(body=statement.body.with_changes(body=body))
        name = f"{statement.name.value}.{name}"
    else:
        return None
    all_of_it = [replaced if each is statement else each for each in tree.body]
    return name, tree.with_changes(body=all_of_it)


def _mutant(module: str, function: str, begins: int, was: str, becomes: str) -> Mutant | None:
    before, after = was.splitlines(), becomes.splitlines()
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
    if first is None:
        return None
    last = 1
    while last <= min(len(before), len(after)) - first and before[-last] == after[-last]:
        last += 1
    old, new = (
        " ".join(" ".join(each[first : len(each) - last + 1]).split()) for each in (before, after)
    )
    return Mutant(module, function, begins, first + 1, old, new, becomes)


def statement_at(module: str, line: int) -> tuple[int, int]:
    """The first and the last line of the statement that has a line. Of one with a body it is what
    stands before that."""
    found = line, line
    tree = ast.parse((PROJECT / module).read_text())
    for node in ast.walk(tree):
        if isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            body = getattr(node, "body", None)
            start = node.pattern if isinstance(node, ast.match_case) else node
            last = body[0].lineno - 1 if body else start.end_lineno
            first, last = start.lineno, max(start.lineno, last or 0)
            if first <= line <= last:
                found = first, last
    return found


class NotPossibleError(Exception):
    """The code of a function cannot be exchanged: it closes over other variables than before."""


def put_in(mutant: Mutant) -> None:
    """Have this process run a mutant from now on. Raises NotPossibleError."""
    path = str(PROJECT / mutant.module)
    new = _code_of(compile(mutant.source, path, "exec", dont_inherit=True), mutant)
    functions = [
        each
        for each in gc.get_objects()
        if isinstance(each, types.FunctionType)
        and each.__code__.co_filename == path
        and (each.__code__.co_qualname, each.__code__.co_firstlineno)
        == (new.co_qualname, new.co_firstlineno)
    ]
    if not functions:
        raise NotPossibleError("no test imports the module")
    for function in functions:
        try:
            function.__code__ = new
        except ValueError as error:
            raise NotPossibleError(str(error)) from error


def _code_of(module: types.CodeType, mutant: Mutant) -> types.CodeType:
    within = [
        each
        for each in _codes(module)
        if each.co_qualname == mutant.function and each.co_firstlineno <= mutant.begins
    ]
    return max(within, key=lambda each: each.co_firstlineno)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for each in code.co_consts:
        if isinstance(each, types.CodeType):
            yield each
            yield from _codes(each)
