"""The suite that every model passes says what it compared, like any other test."""

import pytest

pytest.register_assert_rewrite("tests.support.contract")
