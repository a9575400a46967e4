"""This installation's app registration at Microsoft, from the settings."""

from __future__ import annotations

import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import httpx2

from rapport.settings import Endpoints, Settings
from rapport_core.errors import ConfigError
from rapport_producers.microsoft_sign_in import MicrosoftSignIn

TIMEOUT_SECONDS: Final = 60.0
RETURN_PATH: Final = "/connections/microsoft/done"
"""Where Microsoft sends browsers back to, behind the address of the dashboard or of a waiting command."""


def trusted(settings: Settings) -> ssl.SSLContext:
    """What certificates are checked with when providers are asked. Raises ConfigError for a file that has none."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"RAPPORT_CA_FILE: no certificates can be read from {settings.ca_file}"
            ) from error
    return context


def sign_in_of(settings: Settings) -> MicrosoftSignIn:
    """The app registration. Raises ConfigError when none is set."""
    if settings.microsoft_client_id is None:
        raise ConfigError(
            "Microsoft 365 is not configured: set RAPPORT_MICROSOFT_CLIENT_ID (docs/connect/microsoft.md)"
        )
    secret = settings.microsoft_client_secret
    return MicrosoftSignIn(
        settings.microsoft_client_id,
        None if secret is None else secret.get_secret_value(),
        settings.microsoft_authority,
        httpx2.Client(
            verify=trusted(settings),
            timeout=TIMEOUT_SECONDS,
            # One client asks for everybody: what one account's sign-in left behind is no part of another's.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        ),
    )


def return_address(settings: Settings, where: Endpoints) -> str:
    """Where Microsoft returns to by these settings: the public address, else this machine's."""
    return return_behind(settings.public_url or where.dashboard or "http://localhost")


def return_behind(home: str) -> str:
    """Where Microsoft returns to when the pages are under this address.

    This machine is `localhost`, whichever way it was asked for: of that name alone Microsoft accepts every port.
    """
    return home.rstrip("/").replace("//127.0.0.1", "//localhost") + RETURN_PATH
