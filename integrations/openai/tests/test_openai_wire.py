"""What providers send that the stand-in does not: odd chunks, log probabilities, unknown events, no `[DONE]`."""

import json

import openai
import pytest

import guardai

EMAIL = "alice@example.com"


def said(content):
    return [{"role": "user", "content": content}]


def sse(*events, done=True):
    lines = []
    for event in events:
        if isinstance(event.get("type"), str):
            lines.append(f"event: {event['type']}")
        lines.append(f"data: {json.dumps(event)}\n")
    if done:
        lines.append("data: [DONE]\n")
    return ("\n".join(lines) + "\n").encode()


def chunk(delta=None, finish=None, index=0, logprobs=None, **more):
    choice = {"index": index, "delta": delta or {}, "finish_reason": finish, "logprobs": logprobs}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


@pytest.fixture
def streamed(guard, mocked, http):
    def read(*events, done=True, audience="person", **kwargs):
        body = sse(*events, done=done)
        made = mocked(lambda r: http.Response(200, content=body, headers={"content-type": "text/event-stream"}))
        with guardai.session(audience=audience):
            return [
                c.to_dict() for c in made.chat.completions.create(model="m", messages=said("x"), stream=True, **kwargs)
            ]

    return read


def joined(chunks, key="content"):
    return "".join(ch["delta"].get(key) or "" for c in chunks for ch in c["choices"])


def test_a_stream_without_done_and_without_finish_reason_loses_nothing(streamed):
    out = streamed(chunk({"content": "to alice@"}), chunk({"content": "example.com"}), done=False)
    assert joined(out).startswith("to ")
    assert EMAIL not in joined(out)
    assert len(joined(out)) > len("to ")


def test_text_in_the_finishing_chunk_is_masked(streamed):
    out = streamed(chunk({"content": "to alice@"}), chunk({"content": "example.com"}, "stop"))
    assert EMAIL not in joined(out)
    assert out[-1]["choices"][0]["finish_reason"] == "stop"
    assert len(out) == 2


def test_reasoning_that_other_providers_stream_is_masked(streamed):
    out = streamed(
        chunk({"reasoning_content": "hm alice@"}),
        chunk({"reasoning_content": "example.com "}),
        chunk({"content": "ok"}),
        chunk({}, "stop"),
    )
    assert "alice@example" not in joined(out, "reasoning_content")
    assert joined(out) == "ok"
    order = [next(iter(c["choices"][0]["delta"]), None) for c in out]
    assert order.index("content") > max(n for n, key in enumerate(order) if key == "reasoning_content")


def test_text_nested_in_unknown_places_is_masked(streamed):
    detail = lambda part: {"reasoning_details": [{"type": "reasoning.text", "text": part, "index": 0}]}  # noqa: E731
    out = streamed(chunk(detail("hm alice@")), chunk(detail("example.com ")), chunk({}, "stop"))
    text = "".join(d["text"] for c in out for ch in c["choices"] for d in ch["delta"].get("reasoning_details", []))
    assert text.startswith("hm ")
    assert EMAIL not in text


def test_fields_that_nobody_told_us_of_are_masked(streamed):
    out = streamed(chunk({"content": "a"}, citations=[f"see {EMAIL}"]), chunk({}, "stop", x_provider={"who": EMAIL}))
    assert EMAIL not in json.dumps(out)


def test_a_function_call_of_the_elder_kind_is_masked(streamed):
    call = lambda part: {"function_call": {"name": "send", "arguments": part}}  # noqa: E731
    out = streamed(chunk(call('{"to": "alice@')), chunk(call('example.com"}')), chunk({}, "function_call"))
    arguments = "".join(ch["delta"].get("function_call", {}).get("arguments", "") for c in out for ch in c["choices"])
    assert EMAIL not in arguments
    assert set(json.loads(arguments)) == {"to"}


def test_an_empty_finish_reason_is_none(streamed):
    out = streamed(
        chunk({"content": "to alice@"}, ""),
        chunk({"content": "example.com"}, ""),
        chunk({"content": " ok"}, ""),
        chunk({}, "stop"),
    )
    assert EMAIL not in joined(out)
    assert joined(out).endswith(" ok")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_escapes_in_arguments_hide_nothing(streamed, size):
    # What Go writes for `<EMAIL_1>`, and what a model may write for an address.
    arguments = '{"to": "alice\\u0040example.com", "said": "\\u003c\\"b\\\\u0041\\n\\u00e9"}'
    parts = [arguments[n : n + size] for n in range(0, len(arguments), size)]
    call = lambda part: {"tool_calls": [{"index": 0, "function": {"arguments": part}}]}  # noqa: E731
    out = streamed(*(chunk(call(part)) for part in parts), chunk({}, "tool_calls"))
    got = "".join(
        t["function"]["arguments"] for c in out for ch in c["choices"] for t in ch["delta"].get("tool_calls", [])
    )
    assert json.loads(got)["said"] == json.loads(arguments)["said"]
    assert EMAIL not in json.loads(got)["to"]


def lp(*tokens):
    return {
        "content": [{"token": t, "logprob": -0.1, "bytes": None, "top_logprobs": []} for t in tokens],
        "refusal": None,
    }


def tokens_of(out):
    return [
        entry["token"]
        for c in out
        for ch in c["choices"]
        for entry in ((ch.get("logprobs") or {}).get("content") or [])
    ]


def test_log_probabilities_of_a_masked_stream_do_not_leave(streamed):
    out = streamed(
        chunk({"content": "to alice@"}, logprobs=lp("to", " alice", "@")),
        chunk({"content": "example.com"}, logprobs=lp("example", ".com")),
        chunk({}, "stop"),
        logprobs=True,
    )
    assert not {" alice", "example"} & set(tokens_of(out))


def test_log_probabilities_of_a_clean_stream_arrive_complete_and_in_order(streamed):
    out = streamed(
        chunk({"content": "Hello "}, logprobs=lp("Hello", " ")),
        chunk({"content": "big "}, logprobs=lp("big", " ")),
        chunk({"content": "world"}, logprobs=lp("world")),
        chunk({}, "stop"),
        logprobs=True,
    )
    assert joined(out) == "Hello big world"
    assert tokens_of(out) == ["Hello", " ", "big", " ", "world"]


def test_the_elder_completions_are_masked(guard, mocked, http):
    def event(part, finish=None):
        choice = {"index": 0, "text": part, "logprobs": None, "finish_reason": finish}
        return {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}

    body = sse(event("to alice@"), event("example.com "), event("ok", "stop"))
    made = mocked(lambda r: http.Response(200, content=body, headers={"content-type": "text/event-stream"}))
    with guardai.session(audience="person"):
        text = "".join(
            c.choices[0].text for c in made.completions.create(model="m", prompt=f"for {EMAIL}", stream=True)
        )
    assert EMAIL not in text
    assert text.startswith("to ")
    assert text.endswith(" ok")
    assert EMAIL not in made.seen[0].content.decode()


def test_unknown_events_are_masked_as_a_whole(guard, mocked, http):
    body = sse({"type": "response.something_new", "sequence_number": 0, "note": {"deep": [f"see {EMAIL}"]}}, done=False)
    made = mocked(lambda r: http.Response(200, content=body, headers={"content-type": "text/event-stream"}))
    with guardai.session(audience="person"):
        events = [e.to_dict() for e in made.responses.create(model="m", input="x", stream=True)]
    assert EMAIL not in json.dumps(events)
    assert events[0]["note"]["deep"][0].startswith("see ")


def test_a_streamed_transcription_is_masked(guard, home, mocked, http, policy):
    guardai.init(home=home, policy=policy(OPEN), integrations=["openai"])
    body = sse(
        {"type": "transcript.text.delta", "delta": "to alice@"},
        {"type": "transcript.text.delta", "delta": "example.com"},
        {"type": "transcript.text.done", "text": f"to {EMAIL}"},
        done=False,
    )
    made = mocked(lambda r: http.Response(200, content=body, headers={"content-type": "text/event-stream"}))
    with guardai.session(audience="person"):
        events = list(made.audio.transcriptions.create(model="m", file=("a.wav", b"RIFF"), stream=True))
    joined = "".join(e.delta for e in events if e.type == "transcript.text.delta")
    assert EMAIL not in joined
    assert events[-1].text == joined


OPEN = """
permit (principal, action, resource);
@id("partial") @mask("partial")
forbid (principal, action == Action::"reveal", resource in Label::"pii") when { context.to.kind == "person" };
"""


def test_binary_answers_are_left_as_they_are_where_policy_reveals_them(home, mocked, http, policy):
    guardai.init(home=home, policy=policy(OPEN), integrations=["openai"])
    sound = bytes(range(256)) * 40
    made = mocked(lambda r: http.Response(200, content=sound, headers={"content-type": "audio/mpeg"}))
    assert made.audio.speech.create(model="m", voice="alloy", input="hi").content == sound
    assert made.audio.speech.with_raw_response.create(model="m", voice="alloy", input="hi").content == sound
    with made.audio.speech.with_streaming_response.create(model="m", voice="alloy", input="hi") as response:
        assert b"".join(response.iter_bytes()) == sound


def test_binary_answers_are_refused_where_policy_does_not_reveal_them(home, mocked, http, policy):
    closed = 'forbid (principal, action == Action::"reveal", resource in Label::"opaque");'
    guardai.init(home=home, policy=policy(OPEN + closed), integrations=["openai"])
    made = mocked(lambda r: http.Response(200, content=b"sound", headers={"content-type": "audio/mpeg"}))
    for ask in (
        lambda: made.audio.speech.create(model="m", voice="alloy", input="hi"),
        lambda: made.files.content("file-1"),
        lambda: made.images.generate(prompt="a cat"),
        lambda: made.chat.completions.create(model="m", messages=said("x"), modalities=["audio"]),
    ):
        with pytest.raises(guardai.PolicyDenied):
            ask()
    assert made.seen == []


def test_an_image_in_an_answer_stays_whole(home, mocked, http, policy):
    guardai.init(home=home, policy=policy(OPEN), integrations=["openai"])
    picture = "iVBORw0KGgo" * 50
    made = mocked(
        lambda r: http.Response(200, json={"created": 1, "data": [{"b64_json": picture, "revised_prompt": EMAIL}]})
    )
    with guardai.session(audience="person"):
        answer = made.images.generate(prompt=f"a card for {EMAIL}")
    assert answer.data[0].b64_json == picture
    assert answer.data[0].revised_prompt != EMAIL


def test_a_stream_class_of_the_program_s_own_reads_what_has_passed_the_gate(guard, mocked, http, outcomes):
    class Lines(openai.Stream[dict]):
        """Goes round the client's parsing."""

        def __stream__(self):
            yield from self.response.iter_lines()

    body = sse(chunk({"content": f"to {EMAIL}"}), chunk({}, "stop"))
    made = mocked(lambda r: http.Response(200, content=body, headers={"content-type": "text/event-stream"}))
    with guardai.session(audience="person"):
        stream = made.post(
            "/chat/completions", cast_to=dict, body={"model": "m", "messages": said("x")}, stream=True, stream_cls=Lines
        )
        assert isinstance(stream, Lines)
        lines = list(stream)
    assert EMAIL not in "".join(lines)
    assert '"content": "to ' in "".join(lines)
    assert outcomes("llm.generate")[0]["status"] == "ok"


def test_a_complaint_about_an_answer_does_not_carry_it_unmasked(guard, mocked, http, outcomes):
    made = mocked(
        lambda r: http.Response(200, text=f"to {EMAIL}", headers={"content-type": "text/html"}),
        _strict_response_validation=True,
    )
    with guardai.session(audience="person"), pytest.raises(openai.APIResponseValidationError) as caught:
        made.chat.completions.create(model="m", messages=said("x"))
    assert EMAIL not in str(caught.value.body) + caught.value.response.text
    assert outcomes()[0]["status"] == "error"
