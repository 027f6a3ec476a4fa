"""What comes back whole: re-identified for the process, masked for a person, in the client's own types."""

import json

import openai
import pydantic
import pytest

import guardai
from guardai.testing.model_server import Reply, choices, reasoning, text, tool_call

EMAIL = "alice@example.com"
KEY = "sk-" + "proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z" * 3


def said(content):
    return [{"role": "user", "content": content}]


def echo(request):
    """The model repeats what it was told."""
    return text(f"You said: {request.user}")


def call_back(request):
    token = request.user.split()[-1]
    return tool_call("send", {"to": token, "cc": [token]})


def test_tokens_in_an_answer_are_re_identified_for_the_process(guard, model, client):
    server = model(echo)
    answer = client(server).chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
    assert type(answer) is openai.types.chat.ChatCompletion
    assert answer.choices[0].message.content == f"You said: write to {EMAIL}"
    assert EMAIL not in server.requests[0].text


def test_tokens_in_an_answer_are_re_identified_by_responses(guard, model, client):
    server = model(echo)
    answer = client(server).responses.create(model="gpt-4o", input=f"write to {EMAIL}")
    assert answer.output_text == f"You said: write to {EMAIL}"


def test_tool_call_arguments_are_re_identified(guard, model, client):
    server = model(call_back)
    made = client(server)
    answer = made.chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
    assert json.loads(answer.choices[0].message.tool_calls[0].function.arguments) == {"to": EMAIL, "cc": [EMAIL]}
    answer = made.responses.create(model="gpt-4o", input=f"write to {EMAIL}")
    assert json.loads(answer.output[0].arguments) == {"to": EMAIL, "cc": [EMAIL]}


def test_a_person_sees_personal_data_in_part(guard, model, client):
    server = model([text(f"It is {EMAIL}."), text(f"It is {EMAIL}.")])
    made = client(server)
    with guardai.session(audience="person"):
        chat = made.chat.completions.create(model="gpt-4o", messages=said("who?")).choices[0].message.content
        response = made.responses.create(model="gpt-4o", input="who?").output_text
    assert EMAIL not in chat
    assert chat == response
    assert chat.startswith("It is ")


def test_a_key_in_an_answer_is_redacted_for_everybody(guard, model, client):
    server = model([text(f"use {KEY}")])
    answer = client(server).chat.completions.create(model="gpt-4o", messages=said("key?"))
    assert KEY not in answer.to_json()


def test_every_choice_is_masked(guard, model, client):
    server = model([choices(text(f"a {KEY}"), text(f"b {KEY}"), text("c"))])
    answer = client(server).chat.completions.create(model="gpt-4o", messages=said("key?"), n=3)
    assert KEY not in answer.to_json()
    assert [c.message.content[0] for c in answer.choices] == ["a", "b", "c"]


class Contact(pydantic.BaseModel):
    name: str
    email: str


def test_parsed_answers_hold_re_identified_values(guard, model, client):
    server = model(lambda r: text(json.dumps({"name": "Alice", "email": r.user.split()[-1]})))
    made = client(server)
    chat = made.chat.completions.parse(model="gpt-4o", messages=said(f"write to {EMAIL}"), response_format=Contact)
    assert chat.choices[0].message.parsed == Contact(name="Alice", email=EMAIL)
    response = made.responses.parse(model="gpt-4o", input=f"write to {EMAIL}", text_format=Contact)
    assert response.output_parsed == Contact(name="Alice", email=EMAIL)


async def test_parsed_answers_of_the_async_client_hold_re_identified_values(guard, model, client):
    server = model(lambda r: text(json.dumps({"name": "Alice", "email": r.user.split()[-1]})))
    async with client(server, openai.AsyncOpenAI) as made:
        chat = await made.chat.completions.parse(
            model="gpt-4o", messages=said(f"write to {EMAIL}"), response_format=Contact
        )
        assert chat.choices[0].message.parsed == Contact(name="Alice", email=EMAIL)
        response = await made.responses.create(model="gpt-4o", input=f"write to {EMAIL}")
        assert EMAIL in response.output_text
    assert EMAIL not in server.requests[0].text


def test_reasoning_and_refusals_are_masked(guard, model, client):
    from guardai.testing.model_server import refusal

    server = model([reasoning(f"hm {KEY}") + text("no"), refusal(f"not {KEY}")])
    made = client(server)
    assert KEY not in made.responses.create(model="gpt-4o", input="key?").to_json()
    assert KEY not in made.chat.completions.create(model="gpt-4o", messages=said("key?")).to_json()


def logged(content):
    entries = [{"token": p, "logprob": -0.1, "bytes": None, "top_logprobs": []} for p in (content[:8], content[8:])]
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content},
             "logprobs": {"content": entries, "refusal": None}},
            {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "plain words"},
             "logprobs": {"content": entries[:0] + [{**entries[0], "token": "plain"}], "refusal": None}},
        ],
    }  # fmt: skip


def test_log_probabilities_do_not_tell_what_was_masked(guard, model, client):
    server = model(fault=lambda r: Reply(status=200, body=logged(f"It is {EMAIL}.")))
    with guardai.session(audience="person"):
        answer = client(server).chat.completions.create(model="gpt-4o", messages=said("who?"), logprobs=True)
    assert answer.choices[0].logprobs is None
    assert answer.choices[1].logprobs.content[0].token == "plain"


def test_log_probabilities_stay_where_nothing_was_masked(guard, model, client):
    server = model(fault=lambda r: Reply(status=200, body=logged("It is nobody.")))
    answer = client(server).chat.completions.create(model="gpt-4o", messages=said("who?"), logprobs=True)
    assert [e.token for e in answer.choices[0].logprobs.content] == ["It is no", "body."]


def test_an_answer_with_tool_calls_makes_what_follows_the_agents_doing(guard, model, client):
    from guardai.gate import HERE

    server = model([tool_call("run", {"a": 1}), text("done")])
    made = client(server)
    made.chat.completions.create(model="gpt-4o", messages=said("go"))
    assert HERE.get().turn
    made.chat.completions.create(model="gpt-4o", messages=said("go on"))
    assert not HERE.get().turn


def test_a_tool_that_the_provider_runs_is_none_of_the_agents(guard):
    from guardai_openai.answer import asks

    assert asks({"type": "function_call"})
    assert asks({"type": "computer_call"})
    assert asks({"type": "some_future_call"})
    assert not asks({"type": "web_search_call"})
    assert not asks({"type": "message"})


def test_a_model_s_own_sql_is_known_when_it_arrives_at_a_database(guard, model, client):
    from guardai.hooks import acting

    sql = "SELECT name, email FROM customers WHERE region = 'north' LIMIT 3"
    server = model([text(f"```sql\n{sql}\n```")])
    client(server).chat.completions.create(model="gpt-4o", messages=said("sql?"))
    assert acting(sql, "sqlite") is not None


def test_an_answer_that_is_no_json_is_masked_as_text(guard, mocked, http):
    made = mocked(http.Response(200, text=f"use {KEY}", headers={"content-type": "text/plain"}))
    answer = made.chat.completions.create(model="gpt-4o", messages=said("key?"))
    assert KEY not in answer
    assert answer.startswith("use ")
    assert KEY not in made.get("/anything", cast_to=str)


def test_an_empty_answer_is_an_answer(guard, mocked, http, outcomes):
    made = mocked(http.Response(204))
    assert made.delete("/files/file-1", cast_to=type(None)) is None
    assert outcomes()[0]["status"] == "ok"


def test_an_answer_that_cannot_be_inspected_is_withheld(guard, model, client, monkeypatch, outcomes):
    from guardai.gate.road import Masking

    server = model([text("ok")])
    made = client(server)
    payload = Masking.payload

    def broken(self, value):
        if isinstance(value, dict) and "choices" in value:
            raise RuntimeError("a detector failed")
        return payload(self, value)

    monkeypatch.setattr(Masking, "payload", broken)
    with pytest.raises(guardai.ResultWithheld):
        made.chat.completions.create(model="gpt-4o", messages=said("hi"))
    assert outcomes()[-1]["status"] == "withheld"
