"""JSON and TOML that one reader takes and another does not."""

import json
import time
from typing import Any

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.strict_text import parse_json, parse_toml, refuse_infinite

FINITE = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
DOCUMENTS = st.recursive(
    FINITE | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part), max_leaves=20
)


@given(DOCUMENTS)
def test_json_is_read_as_python_reads_it(document: Any) -> None:
    assert parse_json(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("NaN", "NaN is no JSON number"),
        ('{"a": [-Infinity]}', "-Infinity is no JSON number"),
        ("1e999", "no finite number"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "'c' occurs twice"),
        ("[" * 5000 + "]" * 5000, "too deeply nested"),
        ("9" * 5000, "Exceeds the limit"),
        ("", "Expecting value"),
    ],
)
def test_json_that_readers_see_differently_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_toml_is_read_as_python_reads_it() -> None:
    text = 'a.b."c d" = [1.5, 2]\n[[t]]\nx = 1979-05-27\n[[t]]\ny = """\n' + "a. " * 20 + '"""\n'
    assert parse_toml(text) == tomllib.loads(text)
    numbers = "boxes = [" + ", ".join(["1.5"] * 500) + "]"
    assert parse_toml(numbers) == {"boxes": [1.5] * 500}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "0x" + "f" * 20, "9223372036854775808", "[" * 3000])
def test_toml_values_that_no_setting_can_be_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"finite|bits|deeply"):
        parse_toml(f"a = {value}")


@pytest.mark.parametrize("key", ["a", '"a"', "'a'", "a "])
def test_a_key_of_many_parts_costs_no_time(key: str) -> None:
    started_s = time.process_time()
    for text in (".".join([key] * 100_000) + " = 1", "[" + ".".join([key] * 100_000) + "]"):
        with pytest.raises(ValueError, match="64 parts"):
            parse_toml(text)
    with pytest.raises(ValueError, match="Expected"):
        parse_toml("a" * 1_000_000)
    assert time.process_time() - started_s < 2.0
    assert parse_toml(".".join(["a"] * 60) + " = 1")


@pytest.mark.parametrize("value", [float("nan"), [0.5, float("inf")], {"a": (1, {"b": float("-inf")})}])
def test_numbers_that_are_not_finite_are_found_anywhere(value: Any) -> None:
    refuse_infinite({"a": [1, 0.5, "inf", None]})
    with pytest.raises(ValueError, match="no finite number"):
        refuse_infinite(value)
