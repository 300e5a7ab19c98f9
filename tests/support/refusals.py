"""The exception with which a call is refused."""

from __future__ import annotations

from typing import Any

import pytest


def refusal(function: Any, *args: Any, **keywords: Any) -> tuple[type[BaseException], str]:
    """The type and the message of the exception that the call raises."""
    with pytest.raises(BaseException) as caught:
        function(*args, **keywords)
    return caught.type, str(caught.value)
