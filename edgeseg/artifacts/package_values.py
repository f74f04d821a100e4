"""The manifest of a model package in one file."""

from __future__ import annotations

from typing import Annotated

import pydantic

from edgeseg.values import Value

PACKAGE_ONNX = "model.onnx"
"""The file of a package that holds its network."""
Sha256 = Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]


class PackageManifest(Value):
    """The manifest that an archive begins with: every other file by its hash, but for the signature of the manifest."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)
    """The model's name, whatever the archive's file is called."""
    files: dict[str, Sha256]
    """Name -> SHA-256; `model.onnx` is among them."""

    @pydantic.field_validator("files")
    @classmethod
    def _has_network(cls, files: dict[str, str]) -> dict[str, str]:
        if PACKAGE_ONNX not in files:
            raise ValueError(f"no {PACKAGE_ONNX}")
        return files

    @property
    def onnx_sha256(self) -> str:
        """The hash of the network."""
        return self.files[PACKAGE_ONNX]
