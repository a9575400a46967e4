"""Forms that change something: sent by our own pages, by somebody whose role may."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rapport.dashboard.crosssite import same, session_csrf
from rapport.dashboard.guard import signed_in_of

_OLD_FORM: Final = "This page was open for too long. Load it again, then repeat what you did."


async def own_form(request: Request) -> FormData:
    """The fields of a form that this session's pages sent. Raises HTTPException 403 for any other."""
    form = await request.form(max_fields=20, max_files=0)
    if not same(form.get("csrf"), session_csrf(signed_in_of(request).token)):
        raise HTTPException(403, _OLD_FORM)
    return form


def field(form: FormData, name: str) -> str:
    """A field's text; empty when it is not there."""
    return str(form.get(name, ""))


def refused(error: Exception) -> HTTPException:
    """What a person can change, as the page that says so."""
    return HTTPException(409, sentence(str(error)))


def sentence(text: str) -> str:
    """An error's words as a sentence of a page."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
