"""A webhook is signed as Standard Webhooks has it."""

import base64

import pytest

from entrepot.wire.webhook import SecretBroken, headers, signing_key


def test_the_signature_is_that_of_the_reference_libraries() -> None:
    """The vector that the libraries of Standard Webhooks carry in their own tests."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', key) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize(
    "secret",
    [
        "", "whsec_", "whsec_abc", "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(), base64.b64encode(b"x" * 32).decode(), "whsec_" + "ä" * 40,
    ],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(SecretBroken) as caught:
        signing_key(secret)
    assert "openssl rand" in caught.value.message
    assert len(secret) < 20 or secret.removeprefix("whsec_") not in caught.value.message
