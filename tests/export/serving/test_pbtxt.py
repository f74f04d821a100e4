"""The text format against Protocol Buffers' own parser."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from edgeseg.export.serving.pbtxt import EnumName, to_pbtxt

pb2 = pytest.importorskip("tritonclient.grpc.model_config_pb2")
text_format = pytest.importorskip("google.protobuf.text_format")


@hypothesis.given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_any_text_comes_back(texts: dict[str, str]) -> None:
    fields = [("parameters", [("key", key), ("value", [("string_value", value)])]) for key, value in texts.items()]
    written = to_pbtxt(fields, ["A comment."])
    assert written.isascii()
    parsed = text_format.Parse(written, pb2.ModelConfig())
    assert {key: value.string_value for key, value in parsed.parameters.items()} == texts


def test_numbers_names_and_nested_messages_come_back() -> None:
    fields = [("max_batch_size", 4), ("output", [("data_type", EnumName("TYPE_FP32")), ("dims", -1), ("dims", 3)])]
    fields += [("input", [("name", "a"), ("optional", True)]), ("dynamic_batching", ())]
    parsed = text_format.Parse(to_pbtxt(fields), pb2.ModelConfig())
    assert parsed.max_batch_size == 4 and list(parsed.output[0].dims) == [-1, 3]
    assert pb2.DataType.Name(parsed.output[0].data_type) == "TYPE_FP32"
    assert parsed.input[0].optional and parsed.HasField("dynamic_batching")
