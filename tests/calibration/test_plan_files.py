from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.artifacts import PRECISIONS, PrecisionPlan
from edgeseg.calibration.plan_files import plan_to_toml, read_plan
from edgeseg.errors import BadInputError

precisions = st.sampled_from(PRECISIONS)
names = st.text(st.characters(codec="utf-8"), max_size=12)
plans = st.builds(PrecisionPlan, default=precisions, layers=st.dictionaries(names, precisions, max_size=5))


@settings(deadline=None)
@given(plan=plans, others=st.dictionaries(names, precisions, max_size=3), form=st.sampled_from([".toml", ".json"]))
def test_a_plan_comes_back_from_its_file(
    plan: PrecisionPlan, others: dict[str, str], form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("plans") / f"plan{form}"
    text = plan.to_json() if form == ".json" else plan_to_toml(plan, others)  # type: ignore[arg-type]
    path.write_text(text, encoding="utf-8")
    back = read_plan(path)
    assert back == plan
    assert list(back.layers) == list(plan.layers)  # the last that matches counts
    assert back.sha256 == plan.sha256


def test_the_last_pattern_that_matches_counts() -> None:
    layers = {"decoder.*": "fp32", "decoder.[01].*": "fp16", "decoder.1.first": "int8", "head": "fp32"}
    plan = PrecisionPlan(default="int8", layers=layers)
    assert [plan.precision_of(name) for name in ("decoder.2.first", "decoder.0.first", "decoder.1.first")] == [
        "fp32",
        "fp16",
        "int8",
    ]
    assert plan.precision_of("encoder.head") == "int8"  # a name means the whole name
    assert plan.precision_of("Head") == "int8"
    assert plan.precision_of("head") == "fp32"


def test_a_name_with_brackets_means_itself() -> None:
    assert PrecisionPlan(default="int8", layers={"/net/conv[0]": "fp16"}).precision_of("/net/conv[0]") == "fp16"


def test_order_changes_the_hash() -> None:
    one = PrecisionPlan(default="int8", layers={"a*": "fp16", "*b": "fp32"})
    other = PrecisionPlan(default="int8", layers={"*b": "fp32", "a*": "fp16"})
    assert one.sha256 != other.sha256
    assert (one.precision_of("ab"), other.precision_of("ab")) == ("fp32", "fp16")


def test_what_the_plan_does_not_name_is_a_comment() -> None:
    text = plan_to_toml(PrecisionPlan(default="int8", layers={"head": "fp16"}), {"up": "int8", "head": "fp16"})
    assert text.endswith('[layers]\n"head" = "fp16"\n# "up" = "int8"\n')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "default = int8",
        'default = "int4"',
        'default = "int8"\n[layers]\nhead = 16',
        'default = "int8"\nlayer = "head"',
        'default = "int8"\n[layers]\nencoder.stem = "fp16"',  # a dotted key without quotes is a table in TOML
        'schema_version = 2\ndefault = "int8"',
    ],
)
def test_what_is_no_plan_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match="plan"):
        read_plan(path)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        read_plan(tmp_path / "plan.toml")
    assert "precision plan" in str(caught.value.expected)
