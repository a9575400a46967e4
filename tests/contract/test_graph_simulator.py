"""The simulated Graph's deltas, folders and messages behave as Graph's are documented, and as badly as people report that they do."""

from __future__ import annotations

from itertools import pairwise

import pytest

from graph import Letter, Quirks
from graph.clock import instant
from graph.faults import CURSOR_KINDS
from graph_asking import (
    ANN,
    BOB,
    DAY,
    DELTA,
    IMMUTABLE,
    INBOX,
    JO,
    MINUTE,
    TREE,
    Asking,
    code,
    ids,
    needs_schema,
    removals,
)

# -- delta: pages, links, repeats --------------------------------------------------------------------------------------


def test_a_round_comes_in_pages_no_larger_than_was_preferred() -> None:
    asking = Asking(seed=3, quirks=Quirks(short_pages=0.8))
    keys = {asking.deliver(f"{number}") for number in range(40)}
    pages = asking.pages(DELTA, prefer=(IMMUTABLE, "odata.maxpagesize=7"))
    sizes = [len(page["value"]) for page in pages]
    assert max(sizes) <= 7
    assert len(set(sizes)) > 1
    assert {one for page in pages for one in ids(page["value"])} == keys


def test_each_page_has_one_link_and_only_the_last_one_is_a_delta_link(asking: Asking) -> None:
    for number in range(25):
        asking.deliver(f"{number}")
    *others, last = asking.pages(DELTA)
    assert all(("@odata.nextLink" in one, "@odata.deltaLink" in one) == (True, False) for one in others)
    assert ("@odata.nextLink" in last, "@odata.deltaLink" in last) == (False, True)
    assert "$skiptoken=" in others[0]["@odata.nextLink"]
    assert "$deltatoken=" in last["@odata.deltaLink"]


def test_the_same_page_asked_for_again_is_the_same_with_the_same_link(asking: Asking) -> None:
    """A client that lost an answer asks again."""
    for number in range(25):
        asking.deliver(f"{number}")
    first = asking.get(DELTA)
    assert asking.get(first["@odata.nextLink"]) == asking.get(first["@odata.nextLink"])


def test_a_delta_link_may_be_used_again(asking: Asking) -> None:
    """Each time it tells what changed since it was given."""
    _, link = asking.round(DELTA)
    key = asking.deliver()
    assert ids(asking.round(link)[0]) == ids(asking.round(link)[0]) == [key]


def test_a_link_with_anything_beside_its_token_is_refused_and_noted(asking: Asking) -> None:
    _, link = asking.round(DELTA)
    assert asking.ask("GET", f"{link}&$top=5").status_code == 400
    assert any("changed" in one for one in asking.simulator.violations)


def test_a_token_of_another_folder_is_refused_and_noted(asking: Asking) -> None:
    _, link = asking.round(DELTA)
    token = link.partition("?")[2]
    assert asking.ask("GET", f"/me/mailFolders/archive/messages/delta?{token}").status_code == 400
    assert len(asking.simulator.violations) == 1


def test_the_first_page_may_be_empty() -> None:
    asking = Asking(quirks=Quirks(empty_first_page=True))
    key = asking.deliver()
    first, *others = asking.pages(DELTA)
    assert first["value"] == []
    assert [one for page in others for one in ids(page["value"])] == [key]


def test_pages_in_the_middle_may_be_empty() -> None:
    asking = Asking(seed=1, quirks=Quirks(empty_pages=0.5))
    keys = {asking.deliver(f"{number}") for number in range(40)}
    pages = asking.pages(DELTA)
    assert any(not page["value"] for page in pages[:-1])
    assert {one for page in pages for one in ids(page["value"])} == keys


def test_an_item_may_stand_in_a_round_twice_even_on_different_pages() -> None:
    asking = Asking(seed=1, quirks=Quirks(repeats=1.0))
    keys = {asking.deliver(f"{number}") for number in range(12)}
    pages = [ids(page["value"]) for page in asking.pages(DELTA)]
    assert sorted(one for page in pages for one in page) == sorted([*keys, *keys])
    assert any(set(earlier) & set(later) for earlier, later in pairwise(pages))


def test_an_old_change_may_be_told_again_in_the_next_round() -> None:
    asking = Asking(quirks=Quirks(replays=1.0))
    old = asking.deliver("old")
    _, link = asking.round(DELTA)
    new = asking.deliver("new")
    assert sorted(ids(asking.round(link)[0])) == sorted([old, new])


def test_no_order_is_promised_but_the_last_word_on_an_item_comes_last() -> None:
    asking = Asking(seed=2, quirks=Quirks(shuffle=True, every_state=True))
    kept = [asking.deliver(f"{number}") for number in range(10)]
    _, link = asking.round(DELTA)
    for key in kept:
        asking.ann.mark_read(key)
    asking.ann.delete(kept[0])
    items, _ = asking.round(link)
    order = [one["id"] for one in items]
    assert order != sorted(order, key=kept.index)
    assert "@removed" in [one for one in items if one["id"] == kept[0]][-1]


def test_an_update_brings_the_changed_properties_only(asking: Asking) -> None:
    key = asking.deliver()
    _, link = asking.round(DELTA)
    asking.ann.change(key, categories=["red"])
    (told,) = asking.round(link)[0]
    assert told.keys() == {
        "@odata.type",
        "@odata.etag",
        "id",
        "categories",
        "changeKey",
        "lastModifiedDateTime",
    }


def test_what_a_first_request_selects_holds_for_the_whole_cursor(asking: Asking) -> None:
    _, link = asking.round(f"{DELTA}?$select=id,receivedDateTime")
    asking.deliver()
    (told,) = asking.round(link)[0]
    assert told.keys() == {"@odata.type", "@odata.etag", "id", "receivedDateTime"}


def test_a_removal_says_why_and_nothing_else(asking: Asking) -> None:
    gone, hidden = asking.deliver("gone"), asking.deliver("hidden")
    _, link = asking.round(DELTA)
    asking.ann.delete(gone)
    asking.ann.delete(hidden, reason="changed")
    items, _ = asking.round(link)
    assert removals(items) == {gone: "deleted", hidden: "changed"}
    assert all(one.keys() == {"@odata.type", "id", "@removed"} for one in items)


def test_what_was_never_shown_may_be_removed_in_first_rounds_too() -> None:
    asking = Asking(quirks=Quirks(unseen_removals=1.0))
    key = asking.deliver()
    items, _ = asking.round(DELTA)
    assert ids(items) == [key]
    assert len(removals(items)) == 1


@pytest.mark.parametrize("first", ["source", "target"])
def test_the_two_halves_of_a_move_show_at_different_times(asking: Asking, first: str) -> None:
    key = asking.deliver()
    _, source = asking.round(DELTA)
    _, target = asking.round("/me/mailFolders/archive/messages/delta")
    late = {f"lag_{'target' if first == 'source' else 'source'}": 30.0}
    asking.ann.move(key, "archive", **late)  # type: ignore[arg-type]
    seen = [(removals(asking.round(source)[0]), ids(asking.round(target)[0]))]
    asking.clock.advance(30)
    seen.append((removals(asking.round(source)[0]), ids(asking.round(target)[0])))
    half = ({key: "deleted"}, []) if first == "source" else ({}, [key])
    assert seen == [half, ({key: "deleted"}, [key])]


def test_only_with_immutable_ids_a_mail_keeps_its_id_when_it_is_moved(asking: Asking) -> None:
    key = asking.deliver()
    plain = asking.get(INBOX, prefer=())["value"][0]["id"]
    assert plain != key
    asking.ann.move(key, "archive")
    there = "/me/mailFolders/archive/messages"
    assert ids(asking.get(there)["value"]) == [key]
    assert asking.get(there, prefer=())["value"][0]["id"] not in {key, plain}
    assert asking.ask("GET", f"/me/messages/{plain}", prefer=()).status_code == 404


def test_whoever_does_not_prefer_immutable_ids_is_noted_on_links_and_in_batches_too(asking: Asking) -> None:
    key = asking.deliver()
    for number in range(15):
        asking.deliver(f"{number}")
    link = asking.get(DELTA)["@odata.nextLink"]
    assert asking.simulator.violations == []
    asking.get(link, prefer=())
    asking.batch({"id": "1", "url": f"/me/messages/{key}", "headers": {}})
    assert len(asking.simulator.violations) == 2


def test_a_mail_that_goes_and_comes_back_between_rounds_is_told_as_removed(asking: Asking) -> None:
    """Delta and the folder disagree from then on."""
    key = asking.deliver()
    _, link = asking.round(DELTA)
    asking.ann.move_and_back(key, "archive")
    assert removals(asking.round(link)[0]) == {key: "deleted"}
    assert ids(asking.get(INBOX)["value"]) == [key]


def test_a_move_may_be_told_by_the_source_only(asking: Asking) -> None:
    key = asking.deliver()
    _, target = asking.round("/me/mailFolders/archive/messages/delta")
    asking.ann.move(key, "archive", announce_target=False)
    assert asking.round(target)[0] == []
    assert ids(asking.get("/me/mailFolders/archive/messages")["value"]) == [key]


def test_a_move_may_be_told_twice(asking: Asking) -> None:
    key = asking.deliver()
    _, target = asking.round("/me/mailFolders/archive/messages/delta")
    asking.ann.move(key, "archive", twice=True)
    items, target = asking.round(target)
    asking.clock.advance(MINUTE)
    assert ids(items) == ids(asking.round(target)[0]) == [key]


def test_delta_lags_behind_the_mailbox(asking: Asking) -> None:
    _, link = asking.round(DELTA)
    key = asking.deliver(lag=20.0)
    items, link = asking.round(link)
    assert items == []
    assert ids(asking.get(INBOX)["value"]) == [key]
    asking.clock.advance(20)
    assert ids(asking.round(link)[0]) == [key]


# -- delta: cursors that are forgotten ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("gone", 410, "SyncStateNotFound"),
        ("gone_with_location", 410, "resyncRequired"),
        ("gone_inside", 400, "BadRequest"),
        ("sync_state_invalid", 400, "syncStateInvalid"),
    ],
)
@pytest.mark.parametrize("kind", ["next", "delta"])
def test_a_cursor_may_be_forgotten_in_the_middle_of_a_round_and_after_it(
    asking: Asking, kind: str, how: str, status: int, said: str
) -> None:
    for number in range(15):
        asking.deliver(f"{number}")
    pages = asking.pages(DELTA)
    link = pages[0]["@odata.nextLink"] if kind == "next" else pages[-1]["@odata.deltaLink"]
    asking.ann.forget_cursors("inbox", how)
    answer = asking.ask("GET", link)
    assert code(answer) == (status, said)
    assert ("location" in answer.headers) == (how == "gone_with_location")
    inner = answer.json()["error"]["innerError"].get("code")
    assert inner == ("SyncStateNotFound" if how == "gone_inside" else None)


def test_the_location_of_a_reset_starts_over(asking: Asking) -> None:
    key = asking.deliver()
    _, link = asking.round(DELTA)
    asking.ann.forget_cursors("inbox", "gone_with_location")
    location = asking.ask("GET", link).headers["location"]
    assert location.endswith("?$deltaToken=")
    assert ids(asking.round(location)[0]) == [key]


def test_one_folder_forgets_without_the_others(asking: Asking) -> None:
    _, inbox = asking.round(DELTA)
    _, archive = asking.round("/me/mailFolders/archive/messages/delta")
    asking.ann.forget_cursors("inbox")
    assert asking.ask("GET", inbox).status_code == 410
    assert asking.ask("GET", archive).status_code == 200


@pytest.mark.parametrize("kind", sorted(CURSOR_KINDS))
def test_a_single_request_may_be_told_so_by_fault(asking: Asking, kind: str) -> None:
    """The cursor itself is good the next time."""
    _, link = asking.round(DELTA)
    asking.simulator.faults.add("GET", "deltatoken", kind=kind)
    assert asking.ask("GET", link).status_code in {400, 410}
    assert asking.ask("GET", link).status_code == 200


def test_after_a_reset_nothing_tells_what_vanished_meanwhile(asking: Asking) -> None:
    gone, kept = asking.deliver("gone"), asking.deliver("kept")
    asking.round(DELTA)
    asking.ann.forget_cursors("inbox")
    asking.ann.delete(gone)
    items, _ = asking.round(DELTA)
    assert (ids(items), removals(items)) == ([kept], {})


# -- delta: what a first request may ask -------------------------------------------------------------------------------


def test_a_filtered_round_stops_at_five_thousand_and_does_not_say_so(asking: Asking) -> None:
    for number in range(5_003):
        asking.deliver(f"{number}", at=asking.clock() - number)
    since = instant(asking.clock() - DAY)
    wide = (IMMUTABLE, "odata.maxpagesize=1000")
    filtered = f"{DELTA}?$select=id&$filter=receivedDateTime ge {since}"
    assert len(asking.round(filtered, prefer=wide)[0]) == 5_000
    assert len(asking.round(f"{DELTA}?$select=id", prefer=wide)[0]) == 5_003


@pytest.mark.parametrize(
    "query",
    [
        "$filter=isRead eq false",
        "$filter=receivedDateTime lt 2026-01-01T00:00:00Z",
        "$orderby=subject",
        "$search=x",
        "$skip=3",
        "$count=true",
        "$deltatoken=latest",
    ],
)
def test_what_delta_does_not_know_is_refused(asking: Asking, query: str) -> None:
    assert asking.ask("GET", f"{DELTA}?{query}").status_code == 400


@pytest.mark.parametrize(("wanted", "told"), [("created", 1), ("updated", 1), ("deleted", 1)])
def test_a_round_can_be_of_one_kind_of_change(asking: Asking, wanted: str, told: int) -> None:
    changed, gone = asking.deliver("changed"), asking.deliver("gone")
    _, link = asking.round(f"{DELTA}?changeType={wanted}")
    asking.deliver("new")
    asking.ann.mark_read(changed)
    asking.ann.delete(gone)
    assert len(asking.round(link)[0]) == told


@pytest.mark.parametrize("size", ["0", "1001", "many"])
def test_pages_of_other_sizes_are_refused(asking: Asking, size: str) -> None:
    assert asking.ask("GET", f"{INBOX}?$top={size}").status_code == 400


# -- folders -----------------------------------------------------------------------------------------------------------


def test_v1_has_no_well_known_names_and_shows_localised_ones(asking: Asking) -> None:
    inbox = asking.get("/me/mailFolders/inbox")
    assert inbox["displayName"] == "Posteingang"
    assert "wellKnownName" not in inbox


def test_a_listing_has_the_children_of_the_root_only(asking: Asking) -> None:
    below = asking.ann.folder("Kunden", "inbox")
    top = {one for page in asking.pages("/me/mailFolders") for one in ids(page["value"])}
    assert below not in top
    assert ids(asking.get("/me/mailFolders/inbox/childFolders")["value"]) == [below]
    assert asking.get("/me/mailFolders/inbox")["childFolderCount"] == 1


def test_hidden_folders_show_on_request_only(asking: Asking) -> None:
    hidden = asking.ann.find("conversationhistory").id
    plain = {one for page in asking.pages("/me/mailFolders") for one in ids(page["value"])}
    every = asking.pages("/me/mailFolders?includeHiddenFolders=true")
    assert hidden not in plain
    assert hidden in {one for page in every for one in ids(page["value"])}
    assert hidden not in ids(asking.round(TREE)[0])


def test_a_search_folder_repeats_what_lies_elsewhere(asking: Asking) -> None:
    asking.deliver()
    found = [one for page in asking.pages("/me/mailFolders") for one in page["value"]]
    (search,) = [one for one in found if one.get("@odata.type") == "#microsoft.graph.mailSearchFolder"]
    assert search["totalItemCount"] == 1
    assert len(asking.get(f"/me/mailFolders/{search['id']}/messages")["value"]) == 1


@pytest.mark.parametrize(
    ("name", "said"), [("clutter", "ErrorFolderNotFound"), ("AAMkAFxx", "ErrorItemNotFound")]
)
def test_a_folder_that_a_mailbox_lacks_is_not_found(asking: Asking, name: str, said: str) -> None:
    assert code(asking.ask("GET", f"/me/mailFolders/{name}")) == (404, said)


def test_the_tree_tells_what_became_of_folders(asking: Asking) -> None:
    kept, gone = asking.ann.folder("Alt"), asking.ann.folder("Weg", "inbox")
    _, link = asking.round(TREE)
    new = asking.ann.folder("Neu", kept)
    asking.ann.rename(kept, "Neuer Name")
    asking.ann.move_folder(kept, "archive")
    asking.ann.delete_folder(gone)
    items, _ = asking.round(link)
    shown = {one["id"]: one for one in items}
    assert shown[kept]["displayName"] == "Neuer Name"
    assert shown[kept]["parentFolderId"] == asking.ann.find("archive").id
    assert shown[new]["parentFolderId"] == kept
    assert removals(items) == {gone: "deleted"}


def test_a_deleted_folder_takes_its_mail_and_its_cursor_with_it(asking: Asking) -> None:
    folder = asking.ann.folder("Weg")
    key = asking.deliver(folder=folder)
    _, link = asking.round(f"/me/mailFolders/{folder}/messages/delta")
    asking.ann.delete_folder(folder)
    assert asking.ask("GET", link).status_code == 404
    assert asking.ask("GET", f"/me/messages/{key}").status_code == 404


def test_a_well_known_name_stands_for_the_id(asking: Asking) -> None:
    key = asking.deliver()
    named = asking.get("/me/mailFolders('Inbox')/messages")["value"]
    assert (
        ids(named)
        == ids(asking.get(f"/me/mailFolders/{named[0]['parentFolderId']}/messages")["value"])
        == [key]
    )


# -- messages ----------------------------------------------------------------------------------------------------------


def test_a_message_has_what_graph_says_it_has(asking: Asking) -> None:
    """Every property is held against Graph's schema, with the answer of each request."""
    needs_schema()
    key = asking.deliver()
    whole = asking.get(f"/me/messages/{key}")
    assert whole["from"]["emailAddress"] == {"name": "Jo", "address": "jo@acme.example"}
    assert whole["receivedDateTime"] == "2026-11-24T09:00:00Z"
    assert not {"internetMessageHeaders", "uniqueBody"} & whole.keys()


def test_a_listing_shows_the_newest_first_and_pages_by_skip(asking: Asking) -> None:
    keys = [asking.deliver(f"{number}", at=asking.clock() - number) for number in range(12)]
    pages = asking.pages(f"{INBOX}?$top=5&$count=true")
    assert [one for page in pages for one in ids(page["value"])] == keys
    assert pages[0]["@odata.count"] == 12
    assert "skip=5" in pages[0]["@odata.nextLink"]


def test_what_goes_while_one_pages_makes_the_next_page_skip_another(asking: Asking) -> None:
    """A listing is of the folder as it is, not of what it was at the first page."""
    keys = [asking.deliver(f"{number}", at=asking.clock() - number) for number in range(4)]
    first = asking.get(f"{INBOX}?$top=2")
    asking.ann.delete(keys[0])
    assert ids(asking.get(first["@odata.nextLink"])["value"]) == [keys[3]]


def test_a_listing_filters_by_time_in_the_order_of_time(asking: Asking) -> None:
    keys = [asking.deliver(f"{number}", at=asking.clock() - number * DAY) for number in range(4)]
    since, until = instant(asking.clock() - 2 * DAY), instant(asking.clock())
    window = f"receivedDateTime ge {since} and receivedDateTime lt {until}"
    found = asking.get(f"{INBOX}?$filter={window}&$orderby=receivedDateTime desc")["value"]
    assert ids(found) == keys[1:3]


def test_a_count_is_of_what_the_filter_lets_through(asking: Asking) -> None:
    """Of all pages, and not of all that the folder holds."""
    for number in range(6):
        asking.deliver(f"{number}", at=asking.clock() - number * DAY)
    window = f"receivedDateTime ge {instant(asking.clock() - 3 * DAY)}"
    query = f"$filter={window}&$orderby=receivedDateTime desc&$top=2"
    found = asking.get(f"{INBOX}?{query}&$count=true")
    assert (found["@odata.count"], len(found["value"])) == (4, 2)
    assert "@odata.count" not in asking.get(f"{INBOX}?{query}")


def test_an_order_that_does_not_lead_the_filter_is_inefficient(asking: Asking) -> None:
    query = "$filter=isRead eq false&$orderby=receivedDateTime desc"
    assert code(asking.ask("GET", f"{INBOX}?{query}")) == (400, "InefficientFilter")


def test_headers_come_only_when_they_are_selected(asking: Asking) -> None:
    key = asking.deliver()
    found = asking.get(f"/me/messages/{key}?$select=internetMessageHeaders")
    names = [one["name"] for one in found["internetMessageHeaders"]]
    assert {"Received", "From", "Message-ID"} <= set(names)
    assert "subject" not in found


def test_sent_mail_has_no_headers_even_if_they_are_selected(asking: Asking) -> None:
    key = asking.ann.send(Letter(ANN, (JO,), message_id="<1@contoso.example>"))
    found = asking.get(f"/me/messages/{key}?$select=internetMessageHeaders,internetMessageId")
    assert "internetMessageHeaders" not in found
    assert found["internetMessageId"] == "<1@contoso.example>"


def test_references_of_sent_mail_come_as_extended_properties(asking: Asking) -> None:
    letter = Letter(ANN, (JO,), in_reply_to="<2@x>", references=("<1@x>", "<2@x>"))
    key = asking.ann.send(letter)
    wanted = "id eq 'String 0x1042' or id eq 'String 0x1039'"
    found = asking.get(f"/me/messages/{key}?$expand=singleValueExtendedProperties($filter={wanted})")
    values = {one["id"]: one["value"] for one in found["singleValueExtendedProperties"]}
    assert values == {"String 0x1042": "<2@x>", "String 0x1039": "<1@x> <2@x>"}


@pytest.mark.parametrize("had", ["<draft@contoso.example>", None])
@pytest.mark.parametrize("renamed", ["<outlook@contoso.example>", None])
def test_a_draft_that_is_sent_ends_and_a_copy_with_another_id_appears(
    asking: Asking, had: str | None, renamed: str | None
) -> None:
    draft = asking.ann.draft(Letter(ANN, (JO,), message_id=had))
    shown = asking.get(f"/me/messages/{draft}")
    assert (shown["isDraft"], shown["internetMessageId"]) == (True, had)
    sent = asking.ann.send_draft(draft, message_id=renamed)
    assert sent != draft
    assert asking.ask("GET", f"/me/messages/{draft}").status_code == 404
    copy = asking.get(f"/me/messages/{sent}")
    assert (copy["isDraft"], copy["internetMessageId"]) == (False, renamed or had)


def test_send_mail_answers_nothing_and_delta_shows_the_copy_later() -> None:
    asking = Asking(quirks=Quirks(lag=(20.0, 20.0)))
    _, link = asking.round("/me/mailFolders/sentitems/messages/delta")
    token = asking.simulator.token(asking.ann, {"Mail.Send"})
    recipient = {"emailAddress": {"address": "jo@acme.example"}}
    message = {"subject": "Hi", "body": {"content": "x"}, "toRecipients": [recipient]}
    answer = asking.ask("POST", "/me/sendMail", token=token, body={"message": message})
    assert (answer.status_code, answer.content) == (202, b"")
    items, link = asking.round(link)
    assert items == []
    asking.clock.advance(20)
    assert [one["subject"] for one in asking.round(link)[0]] == ["Hi"]


def test_two_messages_may_have_one_message_id(asking: Asking) -> None:
    keys = {asking.deliver("same") for _ in range(2)}
    found = asking.get(INBOX)["value"]
    assert {one["id"] for one in found} == keys
    assert len({one["internetMessageId"] for one in found}) == 1


def test_each_mailbox_has_its_own_id_for_a_conversation(asking: Asking) -> None:
    first = Letter(JO, (ANN, BOB), message_id="<1@acme.example>")
    reply = Letter(JO, (ANN,), message_id="<2@acme.example>", references=("<1@acme.example>",))
    asking.ann.deliver(first)
    asking.ann.deliver(reply)
    asking.bob.deliver(first)
    mine = {one["conversationId"] for one in asking.get(INBOX)["value"]}
    theirs = {one["conversationId"] for one in asking.get(INBOX, of=asking.bob)["value"]}
    assert len(mine) == len(theirs) == 1
    assert mine != theirs


def test_copies_of_chats_lie_in_the_whole_mailbox_but_in_no_visible_folder(asking: Asking) -> None:
    asking.ann.deliver_chat("psst")
    assert [one["subject"] for one in asking.get("/me/messages")["value"]] == ["IM"]
    visible = [one for page in asking.pages("/me/mailFolders") for one in page["value"]]
    search = "#microsoft.graph.mailSearchFolder"
    assert sum(one["totalItemCount"] for one in visible if one.get("@odata.type") != search) == 0


@pytest.mark.parametrize(
    ("meeting", "kind"),
    [
        ("meetingRequest", "eventMessageRequest"),
        ("meetingCancelled", "eventMessage"),
        ("meetingTenativelyAccepted", "eventMessageResponse"),
    ],
)
def test_invitations_have_a_type_of_their_own(asking: Asking, meeting: str, kind: str) -> None:
    key = asking.ann.deliver(Letter(JO, (ANN,), meeting=meeting))
    found = asking.get(f"/me/messages/{key}")
    assert (found["@odata.type"], found["meetingMessageType"]) == (f"#microsoft.graph.{kind}", meeting)


def test_what_was_listed_may_be_gone_when_it_is_asked_for(asking: Asking) -> None:
    key = asking.deliver()
    assert ids(asking.get(INBOX)["value"]) == [key]
    asking.ann.delete(key)
    assert code(asking.ask("GET", f"/me/messages/{key}")) == (404, "ErrorItemNotFound")


def test_ids_of_either_kind_can_be_translated(asking: Asking) -> None:
    key = asking.deliver()
    plain = asking.get(INBOX, prefer=())["value"][0]["id"]
    body = {"inputIds": [plain], "sourceIdType": "restId", "targetIdType": "restImmutableEntryId"}
    (found,) = asking.ask("POST", "/me/translateExchangeIds", body=body).json()["value"]
    assert found == {"sourceId": plain, "targetId": key}
    many = {**body, "inputIds": [plain] * 1001}
    assert asking.ask("POST", "/me/translateExchangeIds", body=many).status_code == 400
