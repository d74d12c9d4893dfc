"""torch.compile with the guard that belongs to it: the compiled module must answer as the plain one."""

from __future__ import annotations

from typing import Any, Final, Literal

from streetvision_core.errors import ModelError

Mode = Literal["default", "reduce-overhead", "max-autotune"]
TOLERANCE: Final = 1e-2
"""In 16 bit a fused kernel rounds elsewhere; larger differences are faults."""


def compiled(module: Any, example: Any, mode: Mode = "default", tolerance: float = TOLERANCE) -> Any:
    """Compiles a module and runs it once, so that the first request does not wait for the compiler.

    Args:
        module: in evaluation mode, of one input; returns a tensor.
        example: an input of the shape that will be served; another shape compiles again.
        mode: of torch.compile; `reduce-overhead` uses CUDA graphs and wants one shape.
        tolerance: largest difference, as a share of the largest answer.

    Raises:
        ModelError: it cannot be compiled here, or answers otherwise.
    """
    import torch

    compiler: Any = torch.compile  # untyped in torch
    try:
        made = compiler(module, mode=mode)
        with torch.inference_mode():
            wanted, got = module(example).float(), made(example).float()
    except Exception as error:  # the compiler's own exceptions share only this base
        raise ModelError(
            got=f"{type(error).__name__} while compiling: {str(error).strip().splitlines()[0][:200]}",
            allowed="a module that torch.compile can treat, and a C++ compiler (CPU) or Triton (GPU)",
            action="serve the plain module",
        ) from error
    difference = float((wanted - got).abs().max() / wanted.abs().max().clamp_min(1e-12))
    if not difference <= tolerance:
        raise ModelError(
            got=f"a compiled module whose answers differ by {difference:.2g} of the largest",
            allowed=f"at most {tolerance:g}",
            action="serve the plain module",
            difference=difference,
        )
    return made
