"""The ONNX operators of a contract graph, in PyTorch: as far as the exporter writes them for the networks here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attributes = Mapping[str, Any]
Inputs = list[Tensor | None]
Operator = Callable[[Inputs, Attributes], Tensor]
"""Inputs, None for one that is left out; attributes -> the one output."""

TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}
"""ONNX's element types that a Cast may give."""
RESIZES = {("nearest", "asymmetric", "floor"), ("linear", "half_pixel", "floor")}
"""Mode, coordinates and rounding of the Resize that PyTorch's interpolation is exported as."""


class UnknownFormError(Exception):
    """An operator in a form that is not computed here; the text says which."""


def _conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    assert x is not None and weight is not None
    top, left, bottom, right = _pads(attributes)
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    return F.conv2d(x, weight, bias, stride, (top, left), dilation, attributes.get("group", 1))


def _conv_transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight, bias = (*inputs, None)[:3]
    assert x is not None and weight is not None
    padding, more = _even_pads(attributes), attributes.get("output_padding", (0, 0))
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    return F.conv_transpose2d(x, weight, bias, stride, padding, more, attributes.get("group", 1), dilation)


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = _only(inputs)
    stride, dilation = attributes.get("strides", (1, 1)), attributes.get("dilations", (1, 1))
    ceil = bool(attributes.get("ceil_mode", 0))
    return F.max_pool2d(x, attributes["kernel_shape"], stride, _even_pads(attributes), dilation, ceil)


def _average_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = _only(inputs)
    stride, counted = attributes.get("strides", (1, 1)), bool(attributes.get("count_include_pad", 0))
    ceil = bool(attributes.get("ceil_mode", 0))
    return F.avg_pool2d(x, attributes["kernel_shape"], stride, _even_pads(attributes), ceil, counted)


def _resize(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, _, scales = (*inputs, None)[:3]
    form = tuple(
        _text(attributes.get(name, default))
        for name, default in (
            ("mode", "nearest"),
            ("coordinate_transformation_mode", "half_pixel"),
            ("nearest_mode", "round_prefer_floor"),
        )
    )
    assert x is not None
    if form not in RESIZES or attributes.get("antialias", 0) or scales is None or not scales.numel():
        raise UnknownFormError(f"Resize {' '.join(form)}")
    factors = tuple(scales.tolist()[2:])
    if form[0] == "nearest":
        return F.interpolate(x, scale_factor=factors, mode="nearest")
    return F.interpolate(x, scale_factor=factors, mode="bilinear", align_corners=False)


def _reduce_mean(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, axes = (*inputs, None)[:2]
    assert x is not None
    if axes is None:
        raise UnknownFormError("ReduceMean over all axes")
    return x.mean(dim=axes.tolist(), keepdim=bool(attributes.get("keepdims", 1)))


def _clip(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, low, high = (*inputs, None, None)[:3]
    assert x is not None
    return x.clamp(None if low is None else low.item(), None if high is None else high.item())


def _batch_norm(inputs: Inputs, attributes: Attributes) -> Tensor:
    x, weight, bias, mean, variance = inputs
    assert x is not None
    return F.batch_norm(x, mean, variance, weight, bias, eps=attributes.get("epsilon", 1e-5))


def _cast(inputs: Inputs, attributes: Attributes) -> Tensor:
    x = _only(inputs)
    if attributes["to"] not in TYPES:
        raise UnknownFormError(f"Cast to ONNX type {attributes['to']}")
    return x.to(TYPES[attributes["to"]])


def _plain(function: Callable[..., Tensor]) -> Operator:
    return lambda inputs, attributes: function(*inputs)


OPERATORS: dict[str, Operator] = {
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda inputs, attributes: torch.cat([x for x in inputs if x is not None], dim=attributes["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": _plain(torch.div),
    "Equal": _plain(torch.eq),
    "GlobalAveragePool": _plain(lambda x: x.mean(dim=(2, 3), keepdim=True)),
    "HardSigmoid": lambda inputs, attributes: (
        attributes.get("alpha", 0.2) * _only(inputs) + attributes.get("beta", 0.5)
    ).clamp(0, 1),
    "HardSwish": _plain(F.hardswish),
    "LeakyRelu": lambda inputs, attributes: F.leaky_relu(_only(inputs), attributes.get("alpha", 0.01)),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "ReduceMean": _reduce_mean,
    "Relu": _plain(torch.relu),
    "Resize": _resize,
    "Sigmoid": _plain(torch.sigmoid),
    "Sub": _plain(torch.sub),
    "Transpose": lambda inputs, attributes: _only(inputs).permute(attributes["perm"]),
}


def _only(inputs: Inputs) -> Tensor:
    x = inputs[0]
    assert x is not None
    return x


def _pads(attributes: Attributes) -> tuple[int, int, int, int]:
    """Top, left, bottom, right."""
    if _text(attributes.get("auto_pad", "NOTSET")) != "NOTSET":
        raise UnknownFormError(f"auto_pad {_text(attributes['auto_pad'])}")
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return top, left, bottom, right


def _even_pads(attributes: Attributes) -> tuple[int, int]:
    top, left, bottom, right = _pads(attributes)
    if (top, left) != (bottom, right):
        raise UnknownFormError(f"pads {top, left, bottom, right}")
    return top, left


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
