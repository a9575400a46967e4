"""Which folders are collected, followed by ids only, or neither."""

from __future__ import annotations

from typing import Any

import pytest

from rapport_processors.holdings import EXCLUDED_FOLDERS
from rapport_producers.graph.folders import EXCLUDED, SENT, WELL_KNOWN, folder_tree

ROOT = "root"
KNOWN = {"msgfolderroot": ROOT} | {name: f"id-{name}" for name in WELL_KNOWN - {"msgfolderroot"}}


def _folder(id_: str, parent: str = ROOT, name: str = "Ordner", **more: Any) -> dict[str, Any]:
    return {"id": id_, "parentFolderId": parent, "displayName": name, "totalItemCount": 3, **more}


def _streams(*folders: dict[str, Any], known: dict[str, str] | None = None) -> dict[str, str]:
    return folder_tree(folders, KNOWN if known is None else known).streams


def test_processors_know_the_excluded_streams_by_the_same_names() -> None:
    assert EXCLUDED <= EXCLUDED_FOLDERS


@pytest.mark.parametrize("name", ["inbox", SENT, "archive"])
def test_a_well_known_folder_is_known_by_its_id_whatever_it_is_called(name: str) -> None:
    assert _streams(_folder(f"id-{name}", name="Скрытое")) == {f"id-{name}": name}


def test_a_name_alone_excludes_nothing() -> None:
    own = _folder("a", name="Deleted Items")
    assert _streams(own, known={"msgfolderroot": ROOT}) == {"a": "folder:a"}


@pytest.mark.parametrize("name", sorted(EXCLUDED - {"rssfeeds"}))
def test_everything_below_an_excluded_folder_is_its_stream(name: str) -> None:
    top = f"id-{name}"
    found = _streams(_folder("deep", "sub"), _folder("sub", top), _folder(top))
    assert found == {top: name, "sub": name, "deep": name}


def test_a_collected_folder_that_was_thrown_away_is_trash() -> None:
    found = _streams(_folder("project", "id-deleteditems"), _folder("id-deleteditems"))
    assert found["project"] == "deleteditems"


def test_the_highest_excluded_folder_names_the_stream() -> None:
    found = _streams(_folder("id-junkemail", "id-deleteditems"), _folder("id-deleteditems"))
    assert found["id-junkemail"] == "deleteditems"


@pytest.mark.parametrize(
    ("name", "stream"),
    [("conflicts", "syncissues"), ("serverfailures", "syncissues"), ("scheduled", "outbox")],
)
def test_folders_that_are_like_an_excluded_one_are_its_stream(name: str, stream: str) -> None:
    assert _streams(_folder(f"id-{name}")) == {f"id-{name}": stream}


@pytest.mark.parametrize(
    "left_out",
    [
        _folder("x", **{"@odata.type": "#microsoft.graph.mailSearchFolder"}),
        _folder("x", isHidden=True),
        _folder("id-searchfolders"),
        _folder("id-recoverableitemsdeletions"),
    ],
)
def test_copies_of_what_lies_elsewhere_are_left_out_with_all_below(left_out: dict[str, Any]) -> None:
    assert _streams(left_out, _folder("below", left_out["id"])) == {}


@pytest.mark.parametrize("name", ["RSS Feeds", "RSS-Feeds", "Flux RSS", "RSS-flöden"])
def test_the_folder_of_feeds_is_known_by_the_word_all_languages_have(name: str) -> None:
    assert _streams(_folder("f", name=name), _folder("one", "f")) == {"f": "rssfeeds", "one": "rssfeeds"}
    assert _streams(_folder("f", "id-inbox", name=name)) == {"f": "folder:f"}


def test_folders_inside_collected_ones_have_streams_of_their_own_and_totals() -> None:
    tree = folder_tree([_folder("a", "id-inbox"), _folder("b", "a", totalItemCount=None)], KNOWN)
    assert tree.streams == {"a": "folder:a", "b": "folder:b"}
    assert tree.totals == {"a": 3, "b": 0}


def test_a_folder_below_itself_is_not_followed_for_ever() -> None:
    assert _streams(_folder("a", "b"), _folder("b", "a")) == {}


def test_a_mailbox_without_most_well_known_folders() -> None:
    assert _streams(_folder("i"), known={"inbox": "i"}) == {"i": "inbox"}
