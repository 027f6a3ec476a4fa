"""`s3://BUCKET/PREFIX?retention=365d`: an object store whose objects nobody can remove before their time, in S3's words object lock.

Each tree head is an object `PREFIX/ORIGIN/SIZE-ROOT`, under a COMPLIANCE lock: not even the account's owner can shorten that. Who may
write the bucket can add objects and versions, and hide what is there. So the versions are what is read, not the list of objects; one counts if
what is in it is what its name says; and one that nobody locked may say that the ledger was cut, but vouches for nothing.

Credentials, region and endpoint are found as every AWS tool finds them (`AWS_PROFILE`, `AWS_ENDPOINT_URL_S3`, a role, …).
"""

from __future__ import annotations

import base64
import importlib
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from guardai.errors import AnchorError, ConfigError
from guardai.model import TreeHead, Vouched, shown
from guardai.settings import seconds as seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bucket"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
#: Size and root of a tree. Sizes have so many digits that names are in their order.
_HEAD: Final = re.compile(r"([0-9]{16})-([0-9a-f]{64})")
#: Larger than any note.
_MOST: Final = 16_384
_LOCK: Final = "COMPLIANCE"
#: Versions of one name that are told of, if they are locked.
_SAME: Final = 16


class Bucket:
    """Puts tree heads into a bucket.

    Raises:
        ConfigError: the URL is none of a bucket with a retention, or what it needs is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            # All that is imported when a client is made, here: a child that is forked while another thread is halfway through an
            # import has half a module for ever.
            for name in ("boto3.session", "boto3.exceptions", "botocore.config", "botocore.client", "botocore.signers", "botocore.httpsession",
                         "botocore.handlers", "botocore.parsers", "botocore.paginate", "botocore.credentials"):  # fmt: skip
                importlib.import_module(name)
        except ImportError:
            raise ConfigError("buckets need boto3: pip install 'guardai-sdk[s3]'") from None
        usage = f"{shown(url)} is no bucket: write s3://BUCKET/PREFIX?retention=365d"
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
            self._kept = timedelta(seconds=seconds_of(options.pop("retention", "")))
        except ValueError:
            raise ConfigError(usage) from None
        if options or parts.fragment or not self._kept or not _NAME.fullmatch(parts.netloc):
            raise ConfigError(usage)
        self._bucket = parts.netloc
        #: An object can be removed once its time is over: by then there is another.
        self.renew = self._kept.total_seconds() / 2
        prefix = unquote(parts.path).strip("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def submit(self, head: TreeHead, *, seconds: float) -> str:
        """Where the head is kept, and until when."""
        client = self._client(seconds)
        key = f"{self._folder(head)}{head.size:016d}-{head.root(head.size).hex()}"
        until = datetime.now(UTC).replace(microsecond=0) + self._kept
        try:
            put = client.put_object(
                Bucket=self._bucket, Key=key, Body=head.note.encode(), ContentType="text/plain; charset=utf-8",
                ChecksumAlgorithm="SHA256", ObjectLockMode=_LOCK, ObjectLockRetainUntilDate=until,
            )  # fmt: skip
            version = put.get("VersionId", "")
            found = client.head_object(Bucket=self._bucket, Key=key, VersionId=version) if version else {}
        except _errors() as error:
            raise AnchorError(_plain(error)) from None
        if not _is_locked(found, until):
            raise AnchorError("the bucket does not lock its objects for that long: what is in it can be removed")
        return f"{key} {version} {found['ObjectLockRetainUntilDate']:%Y-%m-%dT%H:%M:%SZ}"

    def check(self, receipt: str) -> Vouched:  # noqa: ARG002 - as an anchor has it
        """A note of ours that something was put there proves nothing."""
        raise AnchorError("what a bucket holds has to be asked for (--ask)")

    def ask(self, head: TreeHead, *, seconds: float) -> Iterator[Vouched]:
        """What it holds: what the ledger does not go on from, and what it does go on from, as far as somebody wants to know."""
        until = time.monotonic() + seconds
        client = self._client(seconds)
        failed: AnchorError | None = None
        try:
            # Of one name the oldest first: what was put over it later comes behind it.
            versions = sorted(self._versions(client, head, until), key=_time)
            versions.sort(key=lambda one: str(one["Key"]), reverse=True)
        except _errors() as error:
            raise AnchorError(_plain(error)) from None
        agreeing: list[dict[str, Any]] = []
        others: list[dict[str, Any]] = []
        for version in versions:
            size, root = _head_of(version) or (0, b"")
            (agreeing if size <= head.size and head.root(size) == root else others).append(version)
        # All that disagrees: whoever may write the bucket could put as much as he likes before the one that counts.
        wanted = [others, agreeing, *([one for one in agreeing if _time(one) < moment] for moment in head.moments)]
        for some in wanted:
            enough, told = "", 0
            for version in some:
                if enough and (version["Key"] != enough or told == _SAME):
                    break  # what is smaller says no more
                if time.monotonic() > until:
                    raise AnchorError("no answer in time")
                try:
                    vouched = self._read(client, head, version)
                except AnchorError as error:
                    failed = error
                    continue
                if vouched is not None:
                    yield vouched
                    if some is not others and vouched.size is None:
                        # Whether its signature holds is not known here, and others of its name may have one that does.
                        enough, told = str(version["Key"]), told + 1
        if failed is not None:
            raise failed

    def _read(self, client: Any, head: TreeHead, version: dict[str, Any]) -> Vouched | None:
        """What is in a version; None if it is not what its name says."""
        size, root = _head_of(version) or (0, b"")
        try:
            got = client.get_object(Bucket=self._bucket, Key=version["Key"], VersionId=version["VersionId"])
            note = got["Body"].read(_MOST).decode(errors="replace")
        except _errors() as error:
            raise AnchorError(_plain(error)) from None
        if note.split("\n")[:3] != [head.origin, str(size), base64.b64encode(root).decode()]:
            return None
        return Vouched(note, _time(version), None if _is_locked(got, datetime.now(UTC)) else 0)

    def _folder(self, head: TreeHead) -> str:
        return f"{self._prefix}{head.origin}/"

    def _client(self, seconds: float) -> Any:
        import boto3
        from botocore.config import Config

        half = max(0.1, seconds / 2)
        # A session of its own: the default one is shared, and not safe in threads.
        config = Config(connect_timeout=half, read_timeout=half, retries={"total_max_attempts": 1})
        return boto3.session.Session().client("s3", config=config)

    def _versions(self, client: Any, head: TreeHead, until: float) -> Iterator[dict[str, Any]]:
        """Versions of tree heads, also those that a later deletion hides."""
        pages = client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._folder(head))
        for page in pages:
            if time.monotonic() > until:
                raise AnchorError("no answer in time")
            for version in page.get("Versions", ()):
                if _head_of(version) is not None:
                    yield version


def _head_of(version: dict[str, Any]) -> tuple[int, bytes] | None:
    found = _HEAD.fullmatch(str(version["Key"]).rpartition("/")[2])
    return (int(found[1]), bytes.fromhex(found[2])) if found else None


def _time(version: dict[str, Any]) -> int:
    when: datetime = version["LastModified"]
    return int(when.timestamp())


def _is_locked(found: dict[str, Any], until: datetime) -> bool:
    kept = found.get("ObjectLockRetainUntilDate")
    return found.get("ObjectLockMode") == _LOCK and isinstance(kept, datetime) and kept >= until


def _errors() -> tuple[type[Exception], ...]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return (Boto3Error, BotoCoreError, ClientError, OSError)


def _plain(error: Exception) -> str:
    """What may be said of it: a code, or a kind, but no word of a message, in which keys can stand."""
    code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
    return f"the bucket answers {code}" if code else f"the bucket cannot be asked ({type(error).__name__})"
