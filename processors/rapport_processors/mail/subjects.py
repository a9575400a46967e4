"""Subjects compared: what stays when prefixes, tags, white space and case are gone."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from rapport_processors.mail.headers import decode_text, sound
from rapport_processors.mail.memory import remembered

_REPLY = (
    # en fr la eo pt
    "re res ref réf rép réponse resp"
    # sv da no is de nl fi et
    " sv svar aw antw antwort vs vast vastaus"
    # es it pl cs tr hu
    " rv rta r rif odp odpověď ynt vá válasz"
    # ru uk bg el he ar
    " отв ответ на відп відповідь απ σχετ תשובה השב رد"
    # cy vi id ro
    " atb trảlời tl bls răsp răspuns"
    # zh ja ko
    " 回复 回覆 答复 答覆 返信 회신 답장"
)
_FORWARD = (
    "fw fwd forward tr i enc encaminhada"
    " vb vl vidarebefordrat videresendt wg doorst fs"
    " rif pd fwd yönlendirme ilt i̇lt továbbítás továbbítva pt"
    " пересл переслано fwd пд πρθ הועבר إعادةتوجيه"
    " yml ct chuyểntiếp trs redir"
    " 转发 轉寄 轉發 转寄 転送 전달"
)


def _letters(text: str) -> str:
    """NFKC, case-folded, without white space and invisible marks. Idempotent: repeated until nothing changes."""
    if text.isascii():
        return "".join(text.split()).lower()
    while True:
        folded = unicodedata.normalize("NFKC", text.replace("\u2236", ":").replace("\ua789", ":").casefold())
        folded = "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf")
        if folded == text:
            return folded
        text = folded


_PREFIXES = sorted({_letters(word) for word in (_REPLY + " " + _FORWARD).split()}, key=lambda w: (-len(w), w))
_PREFIX = re.compile(
    "(?:" + "|".join(map(re.escape, _PREFIXES)) + r")(?:\[\d{1,4}\]|\(\d{1,4}\)|[\^*]?\d{1,3})?:+"
)
_FIRST_LETTERS = frozenset(word[0] for word in _PREFIXES)
_TAG = re.compile(r"\[[^\[\]]*\]")
_WRAPPER = re.compile(r"\[(?:fwd?|re):(.*)\]", re.DOTALL)
_TRAILER = "(fwd)"
_LONGEST = 2000  # characters that are compared


class Subject(NamedTuple):
    """A subject as people read it, what of it is compared, and whether a reply or forward prefix stood in front."""

    text: str
    base: str
    prefixed: bool


@remembered(entries=1 << 13, longest=200)
def subject_of_header(value: str) -> Subject:
    """Of a readable header value."""
    text = decode_text(value)
    return Subject(text, *_stripped(text))


@remembered(entries=1 << 13, longest=200)
def subject_of_field(value: str) -> Subject:
    """Of a provider's field, which is decoded already."""
    text = " ".join(sound(value).split())
    return Subject(text, *_stripped(text))


def base_subject(subject: str) -> str:
    """The subject without reply and forward prefixes in any language, leading bracketed tags, white space and case.

    Idempotent. A subject that is nothing but a tag keeps it.
    """
    return _stripped(subject)[0]


def has_reply_prefix(subject: str) -> bool:
    """Whether a reply or forward prefix stands in front, also behind tags (`[list] Re: …`)."""
    return _stripped(subject)[1]


def _stripped(subject: str) -> tuple[str, bool]:
    text = _letters(subject[:_LONGEST])
    prefixed = False
    while True:
        first = text[:1]
        if first in _FIRST_LETTERS and (match := _PREFIX.match(text)):
            text = text[match.end() :]
            prefixed = True
        elif first == "[" and (match := _WRAPPER.fullmatch(text)):
            text = match[1]
            prefixed = True
        elif first == "[" and (match := _TAG.match(text)) and match.end() < len(text):
            text = text[match.end() :]
        elif text.endswith(_TRAILER):
            text = text[: -len(_TRAILER)]
            prefixed = True
        else:
            return text, prefixed
