"""Letters and items as a pipeline in memory shows them, and as the oracle of mail has them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from memory_pipeline import MemoryPipeline
from naive_threads import Letter
from rapport_schemas.records import Item, ItemBody


def live(pipeline: MemoryPipeline) -> dict[str, tuple[Item, ItemBody]]:
    """The letters, by public id."""
    items = pipeline.items().items()
    return {id_: (item, body) for id_, (item, body) in items if body is not None and item["kind"] == "email"}


def seen(pipeline: MemoryPipeline) -> list[str]:
    """The letters as `expected` says them."""
    return sorted(
        repr(
            (
                sorted(tuple(key.split("\x1f", 1)) for key in body["copies"]),
                body["author"],
                item["at"] and item["at"] // 1000,
                item["mail_class"],
                sorted({p["address"] for p in body["people"] if p["role"] != "reply_to"}),
                (item["synced"], item["rule"]),
                [*item["members"], "/", *item["customers"], "/", *item["contacts"]] if item["synced"] else [],
            )
        )
        for item, body in live(pipeline).values()
    )


def expected(letters: Iterable[Letter]) -> list[str]:
    """The letters as the contract has them."""
    best = ("human", "list", "bulk", "auto_reply", "calendar_notice", "bounce")
    return sorted(
        repr(
            (
                sorted(copy.key for copy in one.copies),
                one.author,
                one.at,
                min((copy.mail_class for copy in one.copies), key=best.index),
                sorted({address for copy in one.copies for _, address in copy.people}),
                (one.outcome.synced, one.outcome.rule),
                [
                    *sorted(one.outcome.members),
                    "/",
                    *sorted(one.outcome.customers),
                    "/",
                    *sorted(one.outcome.contacts),
                ]
                if one.outcome.synced
                else [],
            )
        )
        for one in letters
    )


def everything(pipeline: MemoryPipeline) -> dict[str, Any]:
    """All that may be seen of every item, by public id: without who published it when, and with what is sealed opened."""
    return {
        id_: (
            {
                **item,
                "sealed": b"",
                "assignment": 0,
                "origin": None,
                "thread_key": "",
                "strangers": [(one["address"], one["domain"]) for one in item["strangers"]],
            },
            {
                **body,
                "copies": sorted(body["copies"]),
                "holders": sorted(body["holders"]),
                "people": sorted(map(repr, body["people"])),
            },
        )
        for id_, (item, body) in pipeline.items().items()
        if body is not None
    }
