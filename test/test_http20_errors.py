"""The error codes in the form that older code knows."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes

from hyper.http20 import errors


@pytest.mark.parametrize("code", ErrorCodes, ids=lambda code: code.name)
def test_every_code_has_its_dict(code):
    error = getattr(errors, code.name)
    assert set(error) == {"Name", "Code", "Description"}
    assert error["Name"] == code.name
    assert int(error["Code"], 16) == code
    assert error["Description"]
    assert errors.H2_ERRORS[code] is error
    assert errors.get_data(code) == tuple(error.values())


def test_a_code_is_said_in_hexadecimal():
    assert errors.get_data(13)[:2] == ("HTTP_1_1_REQUIRED", "0xd")


@pytest.mark.parametrize("code", [14, -1, 2**32 - 1, None])
def test_an_unknown_code_is_an_error(code):
    with pytest.raises(ValueError, match="no error code"):
        errors.get_data(code)
