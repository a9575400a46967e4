"""The engine's errors in the words and numbers of a ClickHouse server."""

from __future__ import annotations

import re

AUTHENTICATION_FAILED = 516
BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
CANNOT_READ_ALL_DATA = 33
QUERY_IS_TOO_LARGE = 255
ACCESS_DENIED = 497
UNKNOWN_EXCEPTION = 1002

_STATUS = {
    400: (
        6,
        25,
        26,
        27,
        33,
        36,
        38,
        41,
        42,
        43,
        53,
        62,
        69,
        70,
        72,
        117,
        130,
        131,
        182,
        190,
        321,
        386,
        457,
        456,
    ),
    403: (164, 192, 193, 194, 497, 516),
    404: (16, 46, 47, 50, 56, 60, 63, 73, 81, 115),
    408: (159,),
    413: (QUERY_IS_TOO_LARGE,),
    501: (48,),
    503: (209, 439),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}
_CODE = re.compile(r"Code: (\d+)\. ")


class EngineError(Exception):
    """A statement failed. `str(error)` is the text a server would answer."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status a server answers this error with."""
        return _STATUS_OF.get(self.code, 500)


def engine_error(text: str) -> EngineError:
    """The error in what the engine said."""
    found = _CODE.search(text)
    if found is None:
        return EngineError(UNKNOWN_EXCEPTION, f"Code: {UNKNOWN_EXCEPTION}. DB::Exception: {text.strip()}")
    return EngineError(int(found.group(1)), text[found.start() :].strip())


def own_error(code: int, name: str, text: str) -> EngineError:
    """An error of the facade itself, in the same form."""
    return EngineError(code, f"Code: {code}. DB::Exception: {text}. ({name})")
