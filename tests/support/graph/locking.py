"""Tests change mailboxes while a server in another thread answers from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import isfunction
from typing import Any, TypeVar

T = TypeVar("T")


def exclusive(kind: type[T]) -> type[T]:
    """A class whose public methods run while they hold the `lock` of their object, so that each is one step."""
    for name, method in list(vars(kind).items()):
        if isfunction(method) and not name.startswith("_"):
            setattr(kind, name, _locked(method))
    return kind


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    return run
