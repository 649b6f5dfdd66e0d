"""Who we are to AWS: keys that stay, or those of a role, which botocore renews in a thread while we go on."""

import asyncio

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import NoCredentialsError

_LAST_MOMENT = 600  # seconds before keys end; botocore's: it tries to renew from 900 on, and from here on it must


class Keys:
    """What botocore's chain found. Raises NoCredentialsError if that is nothing. Blocks while it is made."""

    def __init__(self, found: Credentials | None) -> None:
        if found is None:
            raise NoCredentialsError
        self._found = found
        self._current: ReadOnlyCredentials = found.get_frozen_credentials()
        self._renewal: asyncio.Task[None] | None = None

    async def current(self) -> ReadOnlyCredentials:
        """The keys to sign with. Raises anything if they are about to end and cannot be renewed."""
        found = self._found
        if isinstance(found, RefreshableCredentials) and found.refresh_needed():
            renewal = self._renewing()
            if found.refresh_needed(_LAST_MOMENT):
                await asyncio.shield(renewal)
        return self._current

    def _renewing(self) -> asyncio.Task[None]:
        # One for all: threads are few, and the look-up of names needs them too.
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(asyncio.to_thread(self._renew))
        return self._renewal

    def _renew(self) -> None:
        self._current = self._found.get_frozen_credentials()
