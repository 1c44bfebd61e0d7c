"""A webhook in the form of Standard Webhooks 1.0: what is signed, and how the headers say it.

signature = base64(HMAC-SHA-256(key, "ID.TIMESTAMP.BODY")), written `v1,…`; the key is what follows `whsec_`, in base64.
"""

import base64
import hmac
from hashlib import sha256

from entrepot.kernel.errors import EntrepotError, Fault

PREFIX = "whsec_"
FEWEST, MOST = 24, 64


class SecretBroken(EntrepotError):
    """A text that is no secret of a webhook."""

    code = "webhook_secret_broken"
    fault = Fault.CALLER


def signing_key(secret: str) -> bytes:
    """The bytes of a secret; raises SecretBroken without repeating it."""
    way = f'is "{PREFIX}" and {FEWEST} to {MOST} bytes in base64: echo "{PREFIX}$(openssl rand -base64 32)" makes one'
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        raise SecretBroken(way) from None
    if not secret.startswith(PREFIX) or not FEWEST <= len(key) <= MOST:
        raise SecretBroken(way)
    return key


def headers(id: str, timestamp_s: int, body: bytes, key: bytes) -> dict[str, str]:
    """The three headers of one attempt; `timestamp_s` is when it is sent, in whole seconds."""
    signed = b"%b.%d.%b" % (id.encode(), timestamp_s, body)
    signature = base64.b64encode(hmac.digest(key, signed, sha256)).decode()
    return {"webhook-id": id, "webhook-timestamp": str(timestamp_s), "webhook-signature": f"v1,{signature}"}
