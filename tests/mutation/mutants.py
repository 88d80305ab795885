"""Which small changes to a module would matter: every one that lets something through, or forgets a step.

A mutant is the module with one change: a check that never refuses, a condition without one of its parts, a
bound moved by one, a call that is not made, a value that is taken as it came, a state that is not kept. What
people read (messages, names, annotations) is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_FLIPPED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.NotEq: ast.Eq,
    ast.NotIn: ast.In,
}
_SWAPPED: Final = {"all": "any", "any": "all", "max": "min", "min": "max"}
_SHOWN_MAX_CHARACTERS: Final = 70


@dataclass(frozen=True)
class Mutant:
    """One change: at which line, what it does, and the whole module with it."""

    line: int
    what: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of `source`, from its top to its end."""
    tree = ast.parse(source)
    for owner, name, index, node in list(_places(tree)):
        for what, changed in _changes(node):
            _put(owner, name, index, changed)
            yield Mutant(node.lineno, what, ast.unparse(ast.fix_missing_locations(tree)))
        _put(owner, name, index, node)


_Place = tuple[ast.AST, str, int | None, ast.stmt | ast.expr]


def _places(owner: ast.AST) -> Iterator[_Place]:
    """Every statement and expression that decides something, and where it hangs in the tree."""
    for name, value in ast.iter_fields(owner):
        if name in {"annotation", "bases", "decorator_list", "returns"}:
            continue
        items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
        for index, item in items:
            if isinstance(item, ast.Raise | ast.JoinedStr | ast.Assert) or _is_set_up(owner, item):
                continue
            if isinstance(item, ast.stmt | ast.expr):
                yield owner, name, index, item
            if isinstance(item, ast.AST):
                yield from _places(item)


def _is_set_up(owner: ast.AST, item: object) -> bool:
    """Whether `item` only gives a new object its first state: without it, anything would fail."""
    return isinstance(owner, ast.FunctionDef) and owner.name == "__init__" and isinstance(item, ast.Assign)


def _put(owner: ast.AST, name: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(owner, name, node)
    else:
        getattr(owner, name)[index] = node


def _changes(node: ast.stmt | ast.expr) -> Iterator[tuple[str, ast.AST]]:
    match node:
        case ast.If():
            yield from _changed_if(node)
        case ast.IfExp() | ast.While():
            yield f"not `{_shown(node.test)}`", _with(node, test=ast.Not())
        case ast.With(items=[ast.withitem(context_expr=ast.Call() as call, optional_vars=None)]):
            yield f"without `with {_shown(call)}`", ast.If(ast.Constant(True), node.body, [])
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Assign(targets=[ast.Attribute()]):
            yield f"without `{_shown(node)}`", ast.Pass()
        case ast.BoolOp():
            yield from _changed_parts(node)
        case ast.Compare():
            yield from _changed_comparisons(node)
        case ast.UnaryOp(op=ast.Not()):
            yield f"without the not of `{_shown(node)}`", node.operand
        case ast.Constant(value=bool() as value):
            yield f"{not value} for {value}", ast.Constant(not value)
        case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=int())):
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield f"the other sign in `{_shown(node)}`", ast.BinOp(node.left, other, node.right)
        case ast.Call(func=ast.Name(id=name), args=[first, *_]):
            if name in _SWAPPED:
                swapped = ast.Name(_SWAPPED[name], ast.Load())
                yield f"{_SWAPPED[name]} for {name}", ast.Call(swapped, node.args, node.keywords)
            elif name.lstrip("_").startswith("require_"):
                yield f"without the check of `{_shown(node)}`", first


def _changed_if(node: ast.If) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node.body[-1], ast.Raise):
        yield f"never refuses `{_shown(node.test)}`", ast.If(_never(node.test), node.body, node.orelse)
    else:
        yield f"not `{_shown(node.test)}`", _with(node, test=ast.Not())


def _never(test: ast.expr) -> ast.expr:
    """False, after what the condition would have worked out (it may give a name to something)."""
    return ast.BoolOp(ast.And(), [test, ast.Constant(False)])


def _with(node: ast.If | ast.IfExp | ast.While, *, test: ast.unaryop) -> ast.AST:
    return type(node)(ast.UnaryOp(test, node.test), node.body, node.orelse)  # type: ignore[arg-type]


def _changed_parts(node: ast.BoolOp) -> Iterator[tuple[str, ast.AST]]:
    for index, part in enumerate(node.values):
        rest = [*node.values[:index], *node.values[index + 1 :]]
        yield f"without `{_shown(part)}`", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def _changed_comparisons(node: ast.Compare) -> Iterator[tuple[str, ast.AST]]:
    for index, operator in enumerate(node.ops):
        ops = [*node.ops]
        ops[index] = _FLIPPED[type(operator)]()
        changed = ast.Compare(node.left, ops, node.comparators)
        yield f"`{_shown(changed)}` for `{_shown(node)}`", changed


def _shown(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= _SHOWN_MAX_CHARACTERS else text[: _SHOWN_MAX_CHARACTERS - 1] + "…"
