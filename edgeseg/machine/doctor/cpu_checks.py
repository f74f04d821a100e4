"""Checks what the processor has for INT8, and what INT8 is worth on it."""

from __future__ import annotations

from typing import Any

from edgeseg.machine.doctor.checks import Check

NAMED = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "BF16",
    "amx_int8": "AMX",
    "asimddp": "dot products",
    "i8mm": "INT8 matrix products",
    "bf16": "BF16",
}
"""Flags of Linux that decide how quick and how exact INT8 and BF16 are -> as a person calls them."""
PURPOSE = "INT8 engines of onnxruntime"


def check_int8(answer: dict[str, Any]) -> Check:
    """Check whether INT8 is right here, and how much quicker than float32.

    Args:
        answer: The answer of the probe ``int8``.
    """
    if "missing" in answer:
        return Check(part="base", name="INT8", status="unknown", found=answer["missing"], purpose=PURPOSE)
    has = ", ".join(NAMED[flag] for flag in NAMED if flag in answer["flags"]) or "no instruction set that is known"
    if answer["wrong"]:
        return Check(
            part="base",
            name="INT8",
            status="wrong version",
            found=f"{has}; onnxruntime computes INT8 wrongly here: {'; '.join(answer['wrong'])}",
            purpose=PURPOSE,
            next_command="pip install --upgrade onnxruntime",
        )
    sums = "sums of two products saturate, which engines are built for" if answer["saturates"] else "sums are exact"
    worth = answer["ratio"]
    gain = f"INT8 takes {worth:.2f} of float32's time on a small network"
    return Check(
        part="base",
        name="INT8",
        status="ok" if worth < 1 else "advice",
        found=f"{has}; {sums}; {gain}",
        purpose=PURPOSE,
        next_command=None if worth < 1 else "edgeseg build-engine MODEL --precision fp32",
    )
