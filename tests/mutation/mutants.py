"""What may be wrong with a line: every small change of a function's syntax tree, one at a time."""

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple

_COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COUNTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_CALLED = {"min": "max", "max": "min"}


class Mutant(NamedTuple):
    """One change: the function, the lines of its statement and its own, in words, and the module's tree with it."""

    function: str
    statement: int
    line: int
    what: str
    tree: ast.Module


def mutants_of(source: str) -> Iterator[Mutant]:
    """Of every function and method of a module; what stands outside of them is declaration."""
    tree = ast.parse(source)
    for name, function in _functions(tree.body, ""):
        inside, begins = _inside(function), _begins(function)
        said = {id(part) for node in inside if isinstance(node, ast.Raise | ast.JoinedStr) for part in ast.walk(node)}
        said |= {id(node.value) for node in inside if isinstance(node, ast.Expr) and _is_text(node.value)}
        for place, node in enumerate(inside):
            for number, what in enumerate(_changes(node, told=id(node) in said)):
                twin = copy.deepcopy(tree)
                other = dict(_functions(twin.body, ""))[name]
                _apply(_inside(other)[place], number, told=id(node) in said, parent=other)
                line = _line_of(node, function)
                yield Mutant(name, begins[id(node)], line, what, ast.fix_missing_locations(twin))


def _inside(function: ast.FunctionDef) -> list[ast.AST]:
    """What of a function runs: the type that a variable in it is said to have does not."""
    all_of_it = [node for statement in function.body for node in ast.walk(statement)]
    types = {id(part) for node in all_of_it if isinstance(node, ast.AnnAssign) for part in ast.walk(node.annotation)}
    return [node for node in all_of_it if id(node) not in types]


def _begins(function: ast.FunctionDef) -> dict[int, int]:
    """The line on which the innermost statement begins that a node, by its identity, is part of."""
    found = {}
    for statement in ast.walk(function):  # what holds another comes before it
        if isinstance(statement, ast.stmt):
            found.update({id(part): statement.lineno for part in ast.walk(statement)})
    return found


def _line_of(node: ast.AST, function: ast.FunctionDef) -> int:
    """A comprehension has no line of its own: that of its first condition."""
    place = node.ifs[0] if isinstance(node, ast.comprehension) and node.ifs else node
    line: int = getattr(place, "lineno", function.lineno)
    return line


def functions_of(tree: ast.Module) -> list[tuple[str, ast.FunctionDef]]:
    """(qualified name, node) of functions and methods, in their order."""
    return list(_functions(tree.body, ""))


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node.body, f"{prefix}{node.name}.")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_nothing(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _changes(node: ast.AST, *, told: bool) -> list[str]:
    """In words; `told`: it is part of what a person reads, where only values count that decide something."""
    return [what for what, _ in _ways(node, told=told)]


def _apply(node: ast.AST, number: int, *, told: bool, parent: ast.FunctionDef) -> None:
    _ways(node, told=told)[number][1](node, parent)


def _ways(node: ast.AST, *, told: bool) -> list[tuple[str, "object"]]:  # type: ignore[type-arg]
    found: list[tuple[str, object]] = []
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            if type(op) in _COMPARED:
                other = _COMPARED[type(op)]
                found.append((f"{type(op).__name__} → {other.__name__}", _set_op(at, other)))
    elif isinstance(node, ast.BinOp) and type(node.op) in _COUNTED and not told:
        other = _COUNTED[type(node.op)]
        found.append((f"{type(node.op).__name__} → {other.__name__}", lambda n, _: setattr(n, "op", other())))
    elif isinstance(node, ast.AugAssign) and type(node.op) in _COUNTED:
        other = _COUNTED[type(node.op)]
        found.append((f"{type(node.op).__name__}= → {other.__name__}=", lambda n, _: setattr(n, "op", other())))
        found.append(("statement left out", _left_out))
    elif isinstance(node, ast.BoolOp):
        other = ast.Or if isinstance(node.op, ast.And) else ast.And
        found.append((f"{type(node.op).__name__} → {other.__name__}", lambda n, _: setattr(n, "op", other())))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        found.append((f"{type(node.op).__name__} left out", lambda n, _: setattr(n, "op", ast.UAdd())
                      if isinstance(n.op, ast.USub) else _unwrap(n)))  # fmt: skip
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        found.append(("condition turned round", lambda n, _: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))))
    elif isinstance(node, ast.comprehension) and node.ifs:
        found.append(("filter left out", lambda n, _: n.ifs.clear()))
    elif isinstance(node, ast.Return) and not _is_nothing(node.value):
        found.append(("returns None", lambda n, _: setattr(n, "value", ast.Constant(None))))
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        found.append(("statement left out", _left_out))
    elif isinstance(node, ast.Continue | ast.Break):
        found.append(("loop control left out", _left_out))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        other_name = _CALLED[node.func.id]
        found.append((f"{node.func.id} → {other_name}", lambda n, _: setattr(n.func, "id", other_name)))
    elif isinstance(node, ast.Constant) and not told:
        value = node.value
        if isinstance(value, bool):
            found.append((f"{value} → {not value}", lambda n, _: setattr(n, "value", not value)))
        elif isinstance(value, int):
            found.append((f"{value} → {value + 1}", lambda n, _: setattr(n, "value", value + 1)))
        elif isinstance(value, str) and value:
            found.append((f"{value!r} → {value + '!'!r}", lambda n, _: setattr(n, "value", value + "!")))
    return found


def _set_op(at: int, other: type[ast.cmpop]) -> object:
    def change(node: ast.Compare, _parent: ast.FunctionDef) -> None:
        node.ops[at] = other()

    return change


def _unwrap(node: ast.UnaryOp) -> None:
    """`not x` becomes `not not x`."""
    node.operand = ast.UnaryOp(ast.Not(), node.operand)


def _left_out(node: ast.stmt, parent: ast.FunctionDef) -> None:
    """Put `pass` where the statement stands."""
    for holder in ast.walk(parent):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(holder, name, None)
            if isinstance(block, list) and any(each is node for each in block):
                block[[each is node for each in block].index(True)] = ast.Pass()
                return
