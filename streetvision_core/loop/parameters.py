"""Checks a notebook's one `parameters` cell against the step's schema and the values given.

papermill only warns about an unknown parameter or a missing cell; here both end the step before a kernel starts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args

from streetvision_core.errors import ParameterError
from streetvision_core.loop.plain import plain
from streetvision_core.loop.steps import Step


def check_parameters(step: Step, notebook: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the plain values to inject.

    Args:
        step: the step and its schema.
        notebook: the notebook's content (nbformat 4).
        values: parameter names to values.

    Raises:
        ParameterError: no parameters cell or several, a name the schema does not know, a name without a value, a name
            missing in the notebook, or a value of another type.
    """
    in_notebook = parameter_names(notebook, step.notebook)
    _refuse(step, sorted(set(values) - set(step.parameters)), "unknown parameters", sorted(step.parameters))
    _refuse(step, sorted(set(step.parameters) - set(values)), "no value for", sorted(step.parameters))
    _refuse(step, sorted(set(step.parameters) - set(in_notebook)), "parameters that the notebook lacks:", in_notebook)
    for name, kind in step.parameters.items():
        _check_type(step, name, values[name], kind)
    return {name: plain(values[name], name) for name in step.parameters}


def parameter_names(notebook: Mapping[str, Any], name: str) -> list[str]:
    """The names assigned in the one cell tagged `parameters`; raises ParameterError without such a cell."""
    cells = [c for c in notebook["cells"] if "parameters" in c["metadata"].get("tags", ())]
    if len(cells) != 1 or cells[0]["cell_type"] != "code":
        raise ParameterError(
            got=f"{len(cells)} cells tagged 'parameters' in {name}",
            allowed="exactly one code cell with that tag",
            action="tag the cell that holds the UPPER_CASE parameters (JupyterLab: Property Inspector, Cell Tags)",
            notebook=name,
        )
    try:
        body = ast.parse("".join(cells[0]["source"])).body
    except SyntaxError as error:
        raise ParameterError(
            got=f"{error.msg} in line {error.lineno} of the parameters cell of {name}",
            allowed="plain assignments, NAME = value  # comment",
            action="mend the cell",
            notebook=name,
        ) from error
    return [target for statement in body for target in _targets(statement)]


def _targets(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _refuse(step: Step, names: list[str], what: str, allowed: list[str]) -> None:
    if names:
        raise ParameterError(
            got=f"{what} {', '.join(names)} (step {step.name!r}, {step.notebook})",
            allowed=", ".join(allowed) or "no parameters at all",
            action="mend the call, the step's schema or the notebook's parameters cell, so that all three agree",
            step=step.name,
            names=names,
        )


def _check_type(step: Step, name: str, value: Any, kind: type | UnionType) -> None:
    kinds = get_args(kind) or (kind,)
    if isinstance(value, bool):
        fits = bool in kinds  # a bool is an int to Python, but nobody means it as one
    else:
        fits = isinstance(value, kinds) or (isinstance(value, int) and float in kinds)
    if not fits:
        raise ParameterError(
            got=f"{name} = {value!r} ({type(value).__name__}) for step {step.name!r}",
            allowed=kind.__name__ if isinstance(kind, type) else str(kind),
            action="give a value of that type",
            step=step.name,
            names=[name],
        )
