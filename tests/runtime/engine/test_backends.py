"""The registry: what is built in can be loaded, and nothing is loaded before it is asked for."""

import subprocess
import sys
from dataclasses import replace
from typing import get_args, get_type_hints

import pytest

from edgeseg.errors import BadInputError, MissingComponentError
from edgeseg.runtime.engine import backends
from edgeseg.runtime.engine.backends import AUTO, BUILT_IN, EVERYWHERE, PREFERRED, Backend, backend_named, backend_names

PARTS = get_args(get_type_hints(Backend.load)["part"])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("backend", BUILT_IN, ids=lambda backend: backend.name)
def test_every_part_of_a_built_in_backend_is_there(backend: Backend, part: str) -> None:
    """Also where the backend's library is not installed: nothing imports it before it is used."""
    assert backend.load(part) is not None


def test_names_are_unique_and_those_that_auto_takes_are_there() -> None:
    names = [backend.name for backend in BUILT_IN]
    assert len(set(names)) == len(names) and AUTO not in names
    assert {PREFERRED, EVERYWHERE} <= set(backend_names())
    assert backend_named(EVERYWHERE).device == "cpu"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInputError) as caught:
        backend_named("no-such")
    assert all(backend.name in str(caught.value.expected) for backend in BUILT_IN)


@pytest.mark.parametrize("place", ["edgeseg.no_such_module:name", "edgeseg.files:no_such_name"])
def test_a_part_that_is_not_there_is_a_missing_component(place: str) -> None:
    with pytest.raises(MissingComponentError) as caught:
        replace(BUILT_IN[0], opener=place).load("opener")
    assert place in str(caught.value.found)


def test_the_registry_imports_no_backend() -> None:
    code = f"import sys, {backends.__name__} as registry; registry.backend_names(); "
    code += "print([name for name in sys.modules if name.startswith(('edgeseg.export', 'edgeseg.runtime.o', 'numpy'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
