"""A browser for `rapport connect`: `python signing_browser.py CA_FILE LOG ADDRESS` goes where it is sent and notes what it saw."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2


def main(ca_file: str, log: str, address: str) -> None:
    """The provider's page, which agrees at once, then the page that it leads back to."""
    with httpx2.Client(verify=ssl.create_default_context(cafile=ca_file)) as browser:
        target = browser.get(address).headers["location"]
        answer = browser.get(target)
    seen = {"host": urlsplit(target).hostname, "status": answer.status_code, "text": answer.text}
    partial = Path(f"{log}.partial")
    partial.write_text(json.dumps(seen), "utf-8")
    partial.replace(log)


if __name__ == "__main__":
    main(*sys.argv[1:])
