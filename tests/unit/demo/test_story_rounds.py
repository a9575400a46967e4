"""What is in the demo company's directory at first and later, and in its mailboxes before and after time passed."""

from __future__ import annotations

import re
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rapport.demo.company import Company, CompanySize, build_company
from rapport.demo.letter import Letter
from rapport.demo.mailboxes import GeneratedCompany, generate

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
SIZE = CompanySize(members=12, customers=25, contacts=110, copies=4_000)


def _generate(folder: Path, **options: object) -> GeneratedCompany:
    return generate(folder, seed=9, now=NOW, size=SIZE, in_two_rounds=True, **options)  # type: ignore[arg-type]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def company() -> Company:
    return build_company(SIZE, 9, NOW)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """All mail of a company, once everything has come."""
    folder = tmp_path_factory.mktemp("text")
    _generate(folder).later()
    return b"\n".join(content for name, content in _files(folder).items() if not name.endswith(".json"))


@pytest.mark.parametrize("compress", [False, True])
def test_both_rounds_are_reproducible(tmp_path: Path, *, compress: bool) -> None:
    """The same arguments give the same bytes, before and after time passed."""
    one, two = (_generate(tmp_path / name, compress=compress) for name in ("one", "two"))
    assert _files(tmp_path / "one") == _files(tmp_path / "two")
    first = _files(tmp_path / "one")
    one.later()
    two.later()
    assert _files(tmp_path / "one") == _files(tmp_path / "two") != first


def test_time_passes_once(tmp_path: Path) -> None:
    """Letting it pass again changes nothing, and nothing is left beside the mailboxes."""
    made = _generate(tmp_path)
    made.later()
    after = _files(tmp_path)
    made.later()
    assert _files(tmp_path) == after
    assert not (tmp_path / "later").exists()


def test_an_earlier_run_leaves_nothing(tmp_path: Path) -> None:
    """Files of another story in the same folder do not stay."""
    generate(tmp_path / "a", seed=8, now=NOW, size=SIZE, in_two_rounds=True)
    _generate(tmp_path / "a")
    _generate(tmp_path / "b")
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


def test_mailboxes_grow_move_and_come_late(tmp_path: Path) -> None:
    """Some mailboxes come whole in the second round, files grow at their end, and folders lose and win."""
    made = _generate(tmp_path)
    assert made.late_mailboxes
    assert not made.late_mailboxes & made.first_mailboxes.keys()
    before = _files(tmp_path)
    made.later()
    after = _files(tmp_path)
    boxes = {name for name in before if name.endswith(".mbox") and not name.startswith("later/")}
    assert all(after[name].startswith(before[name]) for name in boxes)
    assert any(len(after[name]) > len(before[name]) for name in boxes)
    for folder in (".Archive", ".Trash"):
        inside = [sum(f"/{folder}/" in name for name in files) for files in (before, after)]
        assert inside[0] < inside[1]


def test_some_replies_arrive_before_what_they_answer(tmp_path: Path) -> None:
    """A reply is in a mailbox of the first round, and what it answers only in mailboxes of the second."""
    letters: list[Letter] = []
    made = _generate(tmp_path, observe=letters.append)
    late = {int(name.removeprefix("m")) for name in made.late_mailboxes}
    owners = {
        letter.message_id: {copy.owner for copy in letter.copies} for letter in letters if letter.message_id
    }
    assert any(
        owners.get(letter.references[-1], {-1}) <= late and not {c.owner for c in letter.copies} <= late
        for letter in letters
        if letter.references
    )


def test_first_directory_lacks_what_comes_late(company: Company) -> None:
    """A customer with its contacts, more contacts and an alias are missing at first; everything else is there."""
    first, whole = company.first_directory(), company.directory()
    assert len(whole["customers"]) - len(first["customers"]) == 1
    assert len(whole["contacts"]) - len(first["contacts"]) == len(company.late_contacts) > 5
    customers = {customer["id"] for customer in first["customers"]}
    assert all(contact["customer"] in customers for contact in first["contacts"])
    changed = [m["id"] for m, n in zip(first["members"], whole["members"], strict=True) if m != n]
    assert changed == ["m3"]
    assert first["tenant"] == whole["tenant"]
    assert first["exclusions"] == whole["exclusions"]


def test_addresses_and_domains_are_shared(company: Company) -> None:
    """One address on two contacts of one customer, and of two customers; a domain on two customers."""
    served = [
        {company.contacts[index].customer for index in both} for both in company.shared_addresses.values()
    ]
    assert {1, 2} == {len(customers) for customers in served}
    assert any(len(customers) == 2 for customers in company.domains.values())


def test_a_company_may_be_any_tenant() -> None:
    """Only the tenant's id differs: people and mail of two tenants may be the same, and must not mix."""
    one, two = (build_company(SIZE, 9, NOW, tenant=name).directory() for name in ("one", "two"))
    assert (one.pop("tenant")["id"], two.pop("tenant")["id"]) == ("one", "two")
    assert one == two


@pytest.mark.parametrize(
    "charset",
    [
        "utf-8", "utf-8*sv", "iso-8859-1", "iso-8859-15", "windows-1252", "iso-8859-2", "windows-1250", "iso-8859-7",
        "koi8-r", "windows-1251", "windows-1255", "windows-1256", "iso-2022-jp", "shift_jis", "gb2312", "gb18030",
        "euc-kr", "us-ascii", "x-unknown",
    ],
)  # fmt: skip
def test_headers_speak_every_charset(text: bytes, charset: str) -> None:
    """Encoded words of all countries, and some with a wrong label."""
    assert re.search(rb"=\?" + re.escape(charset).encode() + rb"\?[bq]\?", text, re.IGNORECASE)


@pytest.mark.parametrize(
    "sign",
    [
        rb"(?m)^Subject: [^\n]*\xc3\xb6",  # raw UTF-8
        rb"(?m)^Subject: [^\n]*[a-z]\xf6",  # raw Latin-1
        rb"\"[A-Z][^\"\n]*\xf6[^\"\n]*\" <",  # a name in raw Latin-1
        rb"filename\*=UTF-8''",
        rb"filename\*0\*=",
        rb"filename=\"=\?utf-8\?B",
        rb"@xn--keri",
        rb"@(\xc3\xa5|\xc3\x85)\xc3\xa4keri",
        rb"X-Original-From: ",
        rb"X-Gmail-Labels: Spam",
        rb"\r\nSubject: ",
        rb"(?m)^Message-ID: [0-9a-f]+\.",  # an id without brackets
    ],
)
def test_headers_are_written_in_every_disguise(text: bytes, sign: bytes) -> None:
    """Each way of writing that the demo promises stands in some mail."""
    assert re.search(sign, text)


def test_many_mailboxes_need_few_open_files(tmp_path: Path) -> None:
    """Two hundred mailboxes are written while hardly any file may be open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 8, limits[1]))
    try:
        size = CompanySize(members=200, customers=25, contacts=110, copies=2_000)
        made = generate(tmp_path, seed=1, now=NOW, size=size, in_two_rounds=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(made.mailboxes) == 200
