from entrepot.wire.sse import Relay

CHUNK = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


def test_holds_from_the_usage_on():
    relay = Relay()
    assert relay.feed(CHUNK + CHUNK + USAGE + DONE) == (CHUNK + CHUNK, USAGE + DONE)
    assert relay.usage_event == USAGE[6:-2]
    assert relay.done
    assert relay.holding


def test_the_forced_usage_event_is_taken_out():
    relay = Relay(drop_usage=True)
    assert relay.feed(CHUNK) == (CHUNK, None)
    assert relay.feed(USAGE) == (b"", b"")
    assert relay.feed(DONE) == (b"", DONE)
    assert relay.usage_event is not None
