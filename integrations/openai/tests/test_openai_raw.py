"""Raw responses: whatever way they are read, what is read has passed the gate."""

import json

import openai
import pytest

import guardai
from guardai.testing.model_server import Reply, text

EMAIL = "alice@example.com"
KEY = "sk-" + "proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z" * 3


def said(content):
    return [{"role": "user", "content": content}]


def test_every_way_to_read_a_raw_response_shows_the_masked_body(guard, model, client, outcomes):
    server = model([text(f"use {KEY}")])
    raw = client(server).chat.completions.with_raw_response.create(model="gpt-4o", messages=said("key?"))
    for read in (raw.text, raw.content.decode(), raw.http_response.text, json.dumps(raw.http_response.json())):
        assert KEY not in read
        assert "use " in read
    parsed = raw.parse()
    assert type(parsed) is openai.types.chat.ChatCompletion
    assert KEY not in parsed.to_json()
    assert raw.parse() is parsed
    assert raw.status_code == 200
    assert raw.request_id
    assert raw.http_response.elapsed
    assert [o["status"] for o in outcomes()] == ["ok"]


def test_a_raw_response_is_re_identified_for_the_process(guard, model, client):
    server = model(lambda r: text(r.user))
    raw = client(server).chat.completions.with_raw_response.create(model="gpt-4o", messages=said(f"to {EMAIL}"))
    assert EMAIL in raw.text
    assert raw.parse().choices[0].message.content == f"to {EMAIL}"
    assert EMAIL not in server.requests[0].text


def test_a_raw_response_that_nobody_parses_has_ended(guard, model, client, outcomes):
    server = model([text("ok")])
    client(server).chat.completions.with_raw_response.create(model="gpt-4o", messages=said("x"))
    assert [o["status"] for o in outcomes()] == ["ok"]
    assert outcomes()[0]["usage"]["total_tokens"] > 0


def test_a_raw_response_with_nothing_to_mask_is_the_same_object(guard, mocked, http):
    answer = http.Response(200, json={"object": "list", "data": []})
    raw = mocked(answer).models.with_raw_response.list()
    assert raw.http_response is answer


def test_a_raw_helper_that_parses_is_masked(guard, model, client):
    server = model([text(f"use {KEY}")])
    raw = client(server).chat.completions.with_raw_response.parse(model="gpt-4o", messages=said("key?"))
    assert KEY not in raw.text
    assert KEY not in raw.parse().choices[0].message.content


@pytest.mark.parametrize("read", ["parse", "parse_to", "lines", "bytes"])
def test_a_raw_stream_is_masked_however_it_is_read(guard, model, client, outcomes, read):
    whole = f"use {KEY} or write to {EMAIL}"
    server = model([text(whole, chunks=[whole[i : i + 3] for i in range(0, len(whole), 3)])])
    with guardai.session(audience="person"):
        raw = client(server).chat.completions.with_raw_response.create(model="gpt-4o", messages=said("x"), stream=True)
        if read == "parse":
            seen = "".join(c.choices[0].delta.content or "" for c in raw.parse())
        elif read == "parse_to":
            stream = raw.parse(to=openai.Stream[openai.types.chat.ChatCompletionChunk])
            seen = "".join(c.choices[0].delta.content or "" for c in stream)
        else:
            lines = raw.http_response.iter_lines() if read == "lines" else raw.http_response.read().decode().split("\n")
            data = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
            seen = "".join(ch["delta"].get("content") or "" for d in data for ch in d["choices"])
    assert KEY not in seen
    assert EMAIL not in seen
    assert seen.startswith("use ")
    assert [o["status"] for o in outcomes("llm.generate")] == ["ok"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_streaming_response_is_masked_as_it_is_read(guard, model, client, outcomes, stream):
    server = model([text(f"use {KEY} now")])
    with client(server).chat.completions.with_streaming_response.create(
        model="gpt-4o", messages=said("x"), stream=stream
    ) as response:
        assert response.headers["x-request-id"]
        seen = "\n".join(response.iter_lines())
    assert KEY not in seen
    assert "use" in seen
    assert [o["status"] for o in outcomes()] == ["ok"]


def test_a_streaming_response_parses_to_the_clients_types(guard, model, client):
    server = model([text(f"use {KEY} now"), text(f"use {KEY} now")])
    made = client(server).chat.completions.with_streaming_response
    with made.create(model="gpt-4o", messages=said("x")) as response:
        assert KEY not in response.parse().to_json()
    with made.create(model="gpt-4o", messages=said("x"), stream=True) as response:
        assert KEY not in "".join(c.choices[0].delta.content or "" for c in response.parse())


def test_a_streaming_response_that_nobody_reads_is_abandoned(guard, model, client, outcomes):
    server = model([text("ok " * 100)])
    with client(server).chat.completions.with_streaming_response.create(model="gpt-4o", messages=said("x")):
        pass
    assert [o["status"] for o in outcomes()] == ["abandoned"]


async def test_raw_responses_of_the_async_client_are_masked(guard, model, client, outcomes):
    server = model([text(f"use {KEY} now")] * 4)
    async with client(server, openai.AsyncOpenAI) as made:
        raw = await made.chat.completions.with_raw_response.create(model="gpt-4o", messages=said("x"))
        assert KEY not in raw.text
        assert KEY not in raw.parse().to_json()
        raw = await made.chat.completions.with_raw_response.create(model="gpt-4o", messages=said("x"), stream=True)
        assert KEY not in "".join([c.choices[0].delta.content or "" async for c in raw.parse()])
        streaming = made.chat.completions.with_streaming_response
        async with streaming.create(model="gpt-4o", messages=said("x"), stream=True) as response:
            assert KEY not in "\n".join([line async for line in response.iter_lines()])
        async with streaming.create(model="gpt-4o", messages=said("x")) as response:
            assert KEY not in await response.text()
    assert [o["status"] for o in outcomes()] == ["ok"] * 4


def test_the_http_response_itself_is_masked(guard, mocked, http):
    made = mocked(lambda r: http.Response(200, json={"note": f"use {KEY}"}))
    response = made.get("/anything", cast_to=http.Response)
    assert isinstance(response, http.Response)
    assert KEY not in response.text
    assert response.json()["note"].startswith("use ")


def test_a_compressed_body_is_masked(guard, mocked, http):
    import gzip

    body = gzip.compress(json.dumps({"note": f"use {KEY}"}).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    made = mocked(lambda r: http.Response(200, content=body, headers=headers))
    raw = made.with_raw_response if hasattr(made, "with_raw_response") else made
    assert KEY not in raw.models.list().text
    with made.models.with_streaming_response.list() as response:
        assert KEY not in response.text()


def test_an_error_s_body_is_the_provider_s(guard, model, client):
    server = model(
        fault=lambda r: Reply(status=400, body={"error": {"message": "no", "type": "t", "param": None, "code": "c"}})
    )
    with pytest.raises(openai.BadRequestError) as caught:
        client(server).chat.completions.with_raw_response.create(model="gpt-4o", messages=said("x"))
    assert caught.value.body["code"] == "c"
