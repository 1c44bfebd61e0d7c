from entrepot.wire.usage import chat_usage, read_unary


def test_counts_are_taken_apart():
    usage = chat_usage(
        b'{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":40},'
        b'"completion_tokens_details":{"reasoning_tokens":30,"rejected_prediction_tokens":5}}'
    )
    assert usage.quantities == (60, 40, 0, 20, 30, 0, 0, 0)
    assert usage.total == 150
    assert not usage.absurd


def test_an_answer_is_read():
    answer = read_unary(b'{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":-1}}')
    assert answer.model == "m"
    assert answer.usage is not None
    assert answer.usage.absurd
