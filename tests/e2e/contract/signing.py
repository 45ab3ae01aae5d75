"""Signature Version 4 for whatever sends by requests, over the request as it goes out."""

from __future__ import annotations

from dataclasses import dataclass

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests import PreparedRequest
from requests.auth import AuthBase


@dataclass(frozen=True)
class Signed(AuthBase):
    """Signs by one key of the region."""

    access_key: str
    secret_key: str
    region: str

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        unsigned = AWSRequest(request.method, request.url, data=request.body or b"")
        SigV4Auth(Credentials(self.access_key, self.secret_key), "execute-api", self.region).add_auth(unsigned)
        request.headers.update(dict(unsigned.headers.items()))
        return request
