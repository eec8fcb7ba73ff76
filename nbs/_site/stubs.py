"""Write the stubs of the package: for each part which names it offers, and for each module built by `@patch` its classes.

`make export` calls this after nbdev. A part, such as `olsattention.kernels`, offers the public names of its chapters;
each is imported when it is first touched, as those of `olsattention` itself are. In a chapter, methods join
their class where their formulas stand; type checkers and editors do not run code, so that a stub shows them the class
as a whole. `tests/test_book.py` checks that the stubs are in step with the modules.
"""

import ast
from copy import deepcopy

import nbformat
from book import LIB, PARTS, ROOT, chapters_of, class_of, default_module, is_overload

PACKAGE = ROOT / LIB
HEAD = "# Written by `make export` from the chapters: edit those, not this.\n"


def main():
    """Write the stubs, and remove those that are no longer needed."""
    for part in PARTS:
        (PACKAGE / part / "__init__.pyi").write_text(stub_of_part(part), encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        stub = path.with_suffix(".pyi")
        if methods_by_class(tree):
            stub.write_text(stub_of_module(tree), encoding="utf-8")
        elif path.name != "__init__.py":
            stub.unlink(missing_ok=True)


def stub_of_part(part):
    """Give the text of a part's stub: its modules, and the names that each of them exports."""
    notebooks = (nbformat.read(path, as_version=4) for path in chapters_of(part))
    modules = [name.partition(".")[2] for name in map(default_module, notebooks) if name]
    lines = [HEAD, *(f"from . import {module} as {module}\n" for module in modules)]
    for module in modules:
        names = public_names(PACKAGE / part / f"{module}.py")
        listed = "".join(f"    {name} as {name},\n" for name in names)
        lines.append(f"from .{module} import (\n{listed})\n" if names else "")
    return "".join(lines)


def public_names(path):
    """List what a module has in `__all__`, without importing it."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return ast.literal_eval(node.value)
    return []


def methods_by_class(tree):
    """Map the classes of a module to the methods that join them by `@patch`, in order."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (owner := class_of(node)):
            found.setdefault(owner, []).append(node)
    return found


def stub_of_module(tree):
    """Give the text of a module's stub: as the module, without bodies, and with every method in its class."""
    methods, body = methods_by_class(tree), []
    overloaded = {node.name for node in tree.body if is_overload(node)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            hidden = node.name in overloaded and not is_overload(node)
            body += [] if class_of(node) or hidden else [without_body(node)]
        elif isinstance(node, ast.ClassDef):
            node.body = [
                *map(without_body, node.body),
                *map(as_method, methods.get(node.name, [])),
            ]
            body.append(node)
        elif isinstance(node, ast.Assign) and not stays(node.value):
            names = [x.id for x in node.targets if isinstance(x, ast.Name)]
            body += [ast.parse(f"{name}: Any").body[0] for name in names]
        else:
            body.append(node)
    text = ast.unparse(ast.Module(body, []))
    future = "from __future__ import annotations\n"  # which has to come first
    imports = future * text.startswith(future) + "from typing import Any\n"
    return HEAD + imports + text.removeprefix(future) + "\n"


def without_body(node):
    """Leave of a function its signature, for an editor finds its docstring in the module; anything else is as it was."""
    if isinstance(node, ast.FunctionDef):
        node.body = [ast.Expr(ast.Constant(...))]
    return node


def as_method(node):
    """Make of a function behind `@patch` the method that it becomes; other decorators leave its signature.

    Its docstring stays: in the module an editor looks for it inside the class, and does not find it.
    """
    node, text = deepcopy(node), ast.get_docstring(node, clean=False)
    calls = [d for d in node.decorator_list if isinstance(d, ast.Call)]
    options = {k.arg for call in calls for k in call.keywords}
    kinds = {"as_prop": "property", "cls_method": "classmethod"}
    node.decorator_list = [ast.Name(kinds[option]) for option in sorted(options)]
    node.args.args[0].annotation = None
    node.body = [ast.Expr(ast.Constant(text if text else ...))]
    return node


def stays(node):
    """Tell whether a stub may hold an expression: a literal, or a variable of types."""
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", None) in ("TypeVar", "ParamSpec")
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
