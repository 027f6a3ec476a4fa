"""The stand-in speaks Responses, embeddings, models and moderations; and plain HTTP where a client is no help."""

import http.client
import json
from urllib.parse import urlsplit

import openai
import pytest
from pydantic import BaseModel

from guardai.testing.model_server import ModelServer, drop, error, reasoning, refusal, text, tool_call


@pytest.fixture
def serve():
    """`serve(script)` gives a client; `serve.server` is its server."""
    opened = []

    def run(script=(), **more):
        server = ModelServer(script, **more).__enter__()
        client = openai.OpenAI(base_url=server.base_url, api_key="x", max_retries=0)
        opened.append((server, client))
        run.server = server
        return client

    yield run
    for server, client in opened:
        client.close()
        server.__exit__(None, None, None)


def test_a_response_holds_its_text(serve):
    answer = serve([text("Two.")]).responses.create(model="gpt-4o", input="How many?", instructions="Be brief.")
    assert answer.output_text == "Two."
    assert answer.status == "completed"
    assert answer.instructions == "Be brief."
    assert answer.usage.total_tokens > 0


def test_a_response_stream_has_the_events_of_the_real_one_in_order(serve):
    script = [
        reasoning("Thinking.") + text("a b", chunks=["a", " b"]) + tool_call("f", '{"x":1}', chunks=['{"x"', ":1}"])
    ]
    events = list(serve(script).responses.create(model="m", input="x", stream=True))
    assert [event.type.removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    final = events[-1].response
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call"]
    assert final.output_text == "a b"


def test_a_response_stream_and_a_response_say_the_same(serve):
    script = [text("a b") + tool_call("f", "{}")]
    whole = serve(script).responses.create(model="m", input="x")
    streamed = list(serve(script).responses.create(model="m", input="x", stream=True))[-1].response
    apart = {"created_at", "usage"}
    assert whole.model_dump(exclude=apart) == streamed.model_dump(exclude=apart)


def test_the_responses_stream_helper_accumulates(serve):
    with serve([text("a b c")]).responses.stream(model="m", input="x") as stream:
        assert stream.get_final_response().output_text == "a b c"


def test_responses_parse_gets_its_model(serve):
    class Count(BaseModel):
        count: int

    answer = serve([text('{"count": 3}')]).responses.parse(model="m", input="x", text_format=Count)
    assert answer.output_parsed == Count(count=3)


def test_a_refusal_is_a_part_of_its_own(serve):
    answer = serve([refusal("No.")]).responses.create(model="m", input="x")
    assert answer.output[0].content[0].refusal == "No."


def test_a_function_call_is_answered_by_the_items_of_the_next_request(serve):
    client = serve([tool_call("f", "{}"), text("done")])
    asked = [{"role": "user", "content": "x"}]
    first = client.responses.create(model="m", input=asked)
    call = first.output[0]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "7"}
    second = client.responses.create(model="m", input=[*asked, call, output])
    assert second.output_text == "done"
    assert serve.server.requests[1].tool_results == ["7"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_function_call_is_answered_by_reference_to_the_earlier_response(serve, stream):
    client = serve([tool_call("f", "{}"), text("done")])
    first = client.responses.create(model="m", input="x", stream=stream)
    if stream:
        first = list(first)[-1].response
    output = {"type": "function_call_output", "call_id": first.output[0].call_id, "output": "7"}
    assert client.responses.create(model="m", input=[output], previous_response_id=first.id).output_text == "done"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"input": []}, "at least one"),
        ({"input": [{"role": "robot", "content": "x"}]}, "Supported values"),
        ({"input": [{"type": "function_call_output", "call_id": "call_z", "output": "7"}]}, "No tool call found"),
        (
            {"input": [{"type": "function_call", "call_id": "call_z", "name": "f", "arguments": "{}"}]},
            "No tool output found",
        ),
        ({"input": "x", "previous_response_id": "resp_z"}, "not found"),
        ({}, "input"),
    ],
)
def test_a_responses_request_that_the_api_refuses_is_refused(serve, arguments, match):
    with pytest.raises(openai.BadRequestError, match=match):
        serve([text("never")]).responses.create(model="m", **arguments)


def test_a_dropped_responses_stream_ends_in_an_error(serve):
    stream = serve([drop(after_chunks=1, reply=text("a b c"))]).responses.create(model="m", input="x", stream=True)
    seen = []
    with pytest.raises(Exception, match=r"(?i)incomplete|connection"):
        for event in stream:
            seen.append(event.type)
    assert seen.count("response.output_text.delta") == 1
    assert "response.completed" not in seen


async def test_the_async_client_streams_responses():
    with ModelServer([text("a b")]) as server:
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="x") as client:
            stream = await client.responses.create(model="m", input="x", stream=True)
            deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert deltas == ["a", " b"]


# Embeddings, models, moderations


def test_embeddings_are_the_same_for_the_same_text_and_of_length_one(serve):
    client = serve()
    answer = client.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"])
    first, second, third = (item.embedding for item in answer.data)
    assert first == third != second
    assert len(first) == 1536
    assert sum(value * value for value in first) == pytest.approx(1.0, abs=1e-5)
    assert serve.server.requests[0].body["encoding_format"] == "base64"


def test_embeddings_as_numbers_equal_those_as_base64(serve):
    client = serve()
    packed = client.embeddings.create(model="m", input="a", dimensions=8).data[0].embedding
    plain = client.embeddings.create(model="m", input="a", dimensions=8, encoding_format="float").data[0].embedding
    assert packed == pytest.approx(plain, abs=1e-6)
    assert len(plain) == 8


@pytest.mark.parametrize("given", ["", [], [""]])
def test_an_empty_embeddings_input_is_refused(serve, given):
    with pytest.raises(openai.BadRequestError, match="input"):
        serve().embeddings.create(model="m", input=given)


def test_models_are_listed(serve):
    assert [model.id for model in serve(models=["a", "b"]).models.list()] == ["a", "b"]


def test_moderations_flag_nothing(serve):
    results = serve().moderations.create(input=["a", "b"]).results
    assert [result.flagged for result in results] == [False, False]


def test_a_fault_can_be_set_for_any_endpoint(serve):
    client = serve(fault=lambda request: error(503) if request.path.endswith("/embeddings") else None)
    with pytest.raises(openai.InternalServerError):
        client.embeddings.create(model="m", input="a")
    assert client.models.list().data


# Plain HTTP


@pytest.fixture
def post():
    with ModelServer([text("ok")]) as server:
        where = urlsplit(server.base_url)
        connection = http.client.HTTPConnection(where.hostname, where.port)

        def run(body, path="/v1/chat/completions", kind="application/json", key="Bearer x", method="POST"):
            headers = {name: value for name, value in (("content-type", kind), ("authorization", key)) if value}
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

        yield run
        connection.close()


def test_a_body_that_is_no_json_is_refused(post):
    status, body = post("{nope")
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


def test_a_body_that_is_no_object_is_refused(post):
    assert post("[]")[0] == 400


def test_a_body_nested_beyond_reason_is_refused(post):
    assert post('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")[0] == 400


def test_another_content_type_is_refused(post):
    status, body = post('{"model": "m"}', kind="text/plain")
    assert status == 400
    assert "content type" in body["error"]["message"]


def test_a_request_without_a_key_is_unauthorised(post):
    status, body = post("{}", key=None)
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_a_missing_model_is_refused(post):
    status, body = post('{"messages": [{"role": "user", "content": "x"}]}')
    assert (status, body["error"]["message"]) == (400, "you must provide a model parameter")


def test_an_unknown_path_is_not_found(post):
    assert post("{}", path="/v1/audio/speech")[0] == 404


def test_pieces_that_do_not_add_up_are_a_mistake_in_the_script():
    with pytest.raises(ValueError, match="do not add up"):
        text("abc", chunks=["a", "b"])


def test_a_server_that_is_not_running_has_no_url():
    with pytest.raises(RuntimeError, match="with"):
        ModelServer().base_url
