"""Objects of an archive in S3, read as streams: what is wrong with one is told as an error of the use case."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import BotoCoreError, ClientError

from leadscore.usecases.importing import UnreadableSourceError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef


# What trying again does not mend; a 400 may also be a key service that throttles.
_UNREADABLE = frozenset({"NoSuchKey", "NoSuchBucket", "AccessDenied", "InvalidObjectState", "404", "403"})


class S3Object:
    """One object; its name is its key."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self.name = key

    def open(self, offset: int) -> IO[bytes]:
        """Return its bytes from that one on; raises UnreadableSourceError where it is not there or not for us."""
        try:
            if offset:
                found = self._client.get_object(Bucket=self._bucket, Key=self.name, Range=f"bytes={offset}-")
            else:
                found = self._client.get_object(Bucket=self._bucket, Key=self.name)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code == "InvalidRange":
                # What S3 says where the offset is the very end.
                return BytesIO()
            if code in _UNREADABLE:
                raise UnreadableSourceError(f"S3 says {code}") from error
            raise
        return cast(IO[bytes], found["Body"])


class S3Archive:
    """The objects of one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def find(self, key: str) -> S3Object:
        """Return the object of that key."""
        return S3Object(self._client, self._bucket, key)

    def list(self, prefix: str) -> Iterator[ObjectTypeDef]:
        """Yield what S3 says of each object under a prefix; raises UnreadableSourceError."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        try:
            for page in pages:
                yield from page.get("Contents", [])
        except (ClientError, BotoCoreError) as error:
            raise UnreadableSourceError(f"s3://{self._bucket}/{prefix} cannot be listed: {error}") from error
