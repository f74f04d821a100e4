import pytest

from edgeseg.errors import (
    BadInputError,
    EdgesegError,
    MismatchError,
    MissingComponentError,
    ToleranceError,
    UsageError,
)
from edgeseg.optional import INSTALL_COMMANDS, is_installed, require


def test_exit_codes_are_the_contract() -> None:
    classes = (EdgesegError, UsageError, ToleranceError, MissingComponentError, BadInputError, MismatchError)
    assert [kind.exit_code for kind in classes] == [1, 2, 3, 4, 5, 6]


def test_a_message_says_what_was_found_expected_and_next() -> None:
    error = BadInputError("cannot read x", found="junk", expected="JPEG", next_command="copy it again")
    assert str(error).splitlines() == [
        "cannot read x",
        "  found:    junk",
        "  expected: JPEG",
        "  next:     copy it again",
    ]
    assert error.to_dict() == {
        "error": "BadInputError",
        "exit_code": 5,
        "what": "cannot read x",
        "found": "junk",
        "expected": "JPEG",
        "next": "copy it again",
    }
    assert str(EdgesegError("only this")) == "only this"


def test_a_missing_package_comes_with_its_install_command() -> None:
    with pytest.raises(MissingComponentError, match="no_such_package") as caught:
        require("no_such_package")
    assert caught.value.next_command == "pip install no_such_package"
    assert INSTALL_COMMANDS["tensorrt_rtx"] == "pip install 'edgeseg[rtx]'"


def test_finding_a_package_does_not_import_it() -> None:
    assert is_installed("numpy")
    assert not is_installed("no_such_package")
