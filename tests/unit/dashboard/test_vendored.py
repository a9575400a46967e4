"""The two vendored libraries are the files of their npm packages, unchanged, with their licences."""

from __future__ import annotations

from hashlib import sha256

import pytest

from rapport.dashboard.rendering import STATIC_FOLDER

VENDORED = {
    # htmx.org 4.0.1, package/dist/htmx.min.js and package/LICENSE
    "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    "htmx.LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    # uplot 1.6.32, package/dist/uPlot.iife.min.js, package/dist/uPlot.min.css and package/LICENSE
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", VENDORED)
def test_a_vendored_file_is_the_packages(name: str) -> None:
    """A changed file would be ours to maintain without anybody knowing."""
    assert sha256((STATIC_FOLDER / "vendor" / name).read_bytes()).hexdigest() == VENDORED[name]


def test_nothing_else_is_vendored() -> None:
    """Every file from elsewhere is named here."""
    assert {path.name for path in (STATIC_FOLDER / "vendor").iterdir()} == set(VENDORED)
