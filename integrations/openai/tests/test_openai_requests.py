"""What leaves the process: masked, merged, never more than policy permits."""

import json

import openai
import pytest

import guardai
from guardai.testing.model_server import text

EMAIL = "alice@example.com"
KEY = "sk-" + "proj-" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z" * 3


def said(content):
    return [{"role": "user", "content": content}]


def test_personal_data_in_a_prompt_reaches_the_model_only_as_a_token(guard, model, client):
    server = model([text("ok")])
    client(server).chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
    assert EMAIL not in server.requests[0].text
    assert "EMAIL_1" in server.requests[0].user


def test_a_key_in_a_prompt_is_redacted(guard, model, client):
    server = model([text("ok")])
    client(server).chat.completions.create(model="gpt-4o", messages=said(f"my key is {KEY}"))
    assert KEY not in server.requests[0].text


def test_what_the_caller_gave_is_not_changed(guard, model, client):
    server = model([text("ok"), text("ok")])
    messages = [{"role": "user", "content": [{"type": "text", "text": f"write to {EMAIL}"}]}]
    extra = {"metadata": {"who": EMAIL}}
    before = json.dumps([messages, extra])
    client(server).chat.completions.create(model="gpt-4o", messages=messages, extra_body=extra)
    assert json.dumps([messages, extra]) == before


def test_extra_body_cannot_smuggle_past_the_gate(guard, model, client):
    server = model([text("ok")])
    client(server).chat.completions.create(
        model="gpt-4o", messages=said("harmless"), extra_body={"messages": said(f"write to {EMAIL}")}
    )
    assert EMAIL not in server.requests[0].text
    assert server.requests[0].user.startswith("write to ")


def test_extra_body_is_sent_as_the_client_merges_it(guard, model, client):
    server = model([text("ok")])
    client(server).chat.completions.create(
        model="gpt-4o", messages=said("hi"), temperature=1, extra_body={"temperature": 0.5, "unheard_of": [1, None]}
    )
    assert server.requests[0].body["temperature"] == 0.5
    assert server.requests[0].body["unheard_of"] == [1, None]


def test_extra_query_and_headers_cannot_smuggle_past_the_gate(guard, mocked, http):
    made = mocked(http.Response(200, json={"object": "list", "data": []}))
    made.models.list(extra_query={"q": EMAIL}, extra_headers={"x-note": EMAIL, "Authorization": "Bearer mine"})
    sent = made.seen[0]
    assert EMAIL not in str(sent.url).replace("%40", "@")
    assert EMAIL not in sent.headers["x-note"]
    assert sent.headers["authorization"] == "Bearer mine"


def test_a_path_cannot_smuggle_past_the_gate(guard, mocked, http, events):
    made = mocked(http.Response(200, json={"id": "x"}))
    made.get(f"/files/{EMAIL}", cast_to=object)
    assert "alice" not in str(made.seen[0].url)
    assert EMAIL not in json.dumps([{**e, "principal": None} for e in events()])


def test_an_absolute_url_is_judged_by_the_host_that_it_names(guard, mocked, http, events):
    made = mocked(http.Response(200, json={"id": "x"}))
    made.post("https://elsewhere.test/collect", body={"a": EMAIL}, cast_to=object)
    assert made.seen[0].url.host == "elsewhere.test"
    assert EMAIL not in made.seen[0].content.decode()
    assert events(kind="call.intent")[0]["resource"][0]["uri"] == "host://elsewhere.test/collect"


def test_one_shot_messages_are_read_once(guard, model, client):
    server = model([text("ok")])
    client(server).chat.completions.create(model="gpt-4o", messages=(m for m in said(f"write to {EMAIL}")))
    assert server.requests[0].user.startswith("write to ")
    assert EMAIL not in server.requests[0].text


def test_a_message_of_the_clients_own_types_is_masked_too(guard, model, client):
    server = model([text(f"I know {EMAIL}"), text("ok")])
    made = client(server)
    first = made.chat.completions.create(model="gpt-4o", messages=said("who?"))
    assert first.choices[0].message.content == f"I know {EMAIL}"
    made.chat.completions.create(
        model="gpt-4o",
        messages=[*said("who?"), first.choices[0].message],
        extra_body={"note": first.choices[0].message},
    )
    assert EMAIL not in server.requests[1].text
    assert "EMAIL_1" in server.requests[1].body["note"]["content"]


def test_retries_send_the_masked_form(guard, model, client, monkeypatch):
    from guardai.testing.model_server import error

    server = model([error(500, headers={"retry-after-ms": "1"}), text("ok")])
    client(server, max_retries=1).chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
    assert len(server.requests) == 2
    assert EMAIL not in server.requests[0].text + server.requests[1].text
    keys = {r.headers.get("x-stainless-idempotency-key") or r.headers.get("idempotency-key") for r in server.requests}
    assert len(keys) == 1


def test_tool_call_arguments_in_a_request_are_masked(guard, model, client):
    server = model([text("ok")])
    call = {"id": "call_1", "type": "function", "function": {"name": "send", "arguments": json.dumps({"to": EMAIL})}}
    messages = [
        *said("send it"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"sent_to": EMAIL})},
    ]
    client(server).chat.completions.create(model="gpt-4o", messages=messages)
    assert EMAIL not in server.requests[0].text
    sent = json.loads(server.requests[0].messages[1]["tool_calls"][0]["function"]["arguments"])
    assert sent == {"to": json.loads(server.requests[0].messages[2]["content"])["sent_to"]}


def test_embeddings_are_masked_and_their_vectors_left_alone(guard, model, client, outcomes):
    server = model()
    answer = client(server).embeddings.create(model="text-embedding-3-small", input=[f"write to {EMAIL}", "hello"])
    assert EMAIL not in server.requests[0].text
    assert len(answer.data) == 2
    assert len(answer.data[0].embedding) == 1536
    assert answer.data[0].embedding[0] != 0
    assert outcomes("llm.embed")[0]["usage"]["total_tokens"] > 0


def test_text_that_is_cut_into_numbers_is_named_opaque(home, policy, model, client):
    folder = policy(
        'permit (principal, action, resource);\nforbid (principal, action == Action::"reveal", resource == Label::"opaque.raw");',
    )
    guardai.init(home=home, policy=folder, integrations=["openai"])
    server = model()
    with pytest.raises(guardai.PolicyDenied):
        client(server).embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3]])
    assert server.requests == []


PICTURE = "data:image/png;base64," + "iVBORw0KGgo" * 20
PARTS = {
    "image": ("opaque.image", {"type": "image_url", "image_url": {"url": PICTURE}}),
    "audio": ("opaque.audio", {"type": "input_audio", "input_audio": {"data": "UklGRg" * 20, "format": "wav"}}),
    "file": (
        "opaque.file",
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0x", "filename": "a.pdf"}},
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_cannot_be_masked_is_refused_where_policy_does_not_reveal_it(home, policy, model, client, kind):
    label, part = PARTS[kind]
    folder = policy(
        "permit (principal, action, resource);\n"
        f'forbid (principal, action == Action::"reveal", resource == Label::"{label}");'
    )
    guardai.init(home=home, policy=folder, integrations=["openai"])
    server = model([text("ok")])
    with pytest.raises(guardai.PolicyDenied):
        client(server).chat.completions.create(model="gpt-4o", messages=said([part]))
    assert server.requests == []


@pytest.mark.parametrize("kind", PARTS)
def test_what_cannot_be_masked_arrives_whole_where_policy_reveals_it(guard, model, client, kind):
    _, part = PARTS[kind]
    server = model([text("ok")])
    client(server).chat.completions.create(
        model="gpt-4o", messages=said([{"type": "text", "text": f"for {EMAIL}"}, part])
    )
    assert server.requests[0].messages[0]["content"][1] == part
    assert EMAIL not in server.requests[0].text


UPLOADS = {
    "opaque.file": lambda c: c.files.create(file=("a.txt", EMAIL.encode()), purpose="assistants"),
    "opaque.audio": lambda c: c.audio.transcriptions.create(file=("a.wav", b"RIFF"), model="whisper-1"),
    "opaque.image": lambda c: c.images.edit(image=("a.png", b"PNG"), prompt="a cat"),
}


@pytest.mark.parametrize("label", UPLOADS)
def test_an_upload_is_refused_where_policy_does_not_reveal_it(home, policy, model, client, label):
    folder = policy(
        "permit (principal, action, resource);\n"
        f'forbid (principal, action == Action::"reveal", resource == Label::"{label}") when {{ context.to.kind == "host" }};'
    )
    guardai.init(home=home, policy=folder, integrations=["openai"])
    server = model()
    with pytest.raises(guardai.PolicyDenied, match=label):
        UPLOADS[label](client(server))
    assert server.requests == []


def test_the_fields_beside_an_upload_are_masked(home, policy, mocked, http):
    folder = policy(
        "permit (principal, action, resource);\n"
        '@id("t") @mask("token") forbid (principal, action == Action::"reveal", resource in Label::"pii");'
    )
    guardai.init(home=home, policy=folder, integrations=["openai"])
    made = mocked(http.Response(200, json={"text": "ok"}))
    made.audio.transcriptions.create(file=("a.wav", b"RIFF"), model="whisper-1", prompt=f"{EMAIL} speaks")
    sent = made.seen[0].read().decode()
    assert EMAIL not in sent
    assert " speaks" in sent
    assert "RIFF" in sent


def test_raw_bytes_are_refused_by_the_starter_policy(guard, model, client):
    server = model()
    with pytest.raises(guardai.PolicyDenied):
        client(server).post("/anything", content=EMAIL.encode(), cast_to=object)
    assert server.requests == []


def test_a_denied_request_never_reaches_the_model(home, policy, model, client, outcomes):
    guardai.init(
        home=home,
        policy=policy('@id("none") @reason("no models here") forbid (principal, action in Action::"llm", resource);'),
        integrations=["openai"],
    )
    server = model([text("ok")])
    made = client(server)
    for ask in (
        lambda: made.chat.completions.create(model="gpt-4o", messages=said("hi")),
        lambda: made.chat.completions.create(model="gpt-4o", messages=said("hi"), stream=True),
        lambda: made.responses.create(model="gpt-4o", input="hi"),
        lambda: made.embeddings.create(model="text-embedding-3-small", input="hi"),
        lambda: made.chat.completions.with_raw_response.create(model="gpt-4o", messages=said("hi")),
        lambda: made.post("/chat/completions", body={"model": "gpt-4o", "messages": said("hi")}, cast_to=object),
        lambda: made.with_options(timeout=3).responses.create(model="gpt-4o", input="hi"),
    ):
        with pytest.raises(guardai.PolicyDenied, match="no models here"):
            ask()
    assert server.requests == []
    assert {e["status"] for e in outcomes()} == {"denied"}


async def test_a_denied_request_of_the_async_client_never_reaches_the_model(home, policy, model, client):
    guardai.init(home=home, policy=policy("forbid (principal, action, resource);"), integrations=["openai"])
    server = model([text("ok")])
    async with client(server, openai.AsyncOpenAI) as made:
        with pytest.raises(guardai.PolicyDenied):
            await made.chat.completions.create(model="gpt-4o", messages=said("hi"))
        with pytest.raises(guardai.PolicyDenied):
            await made.responses.create(model="gpt-4o", input="hi", stream=True)
        with pytest.raises(guardai.PolicyDenied):
            await made.models.list()
    assert server.requests == []


def test_every_call_leaves_an_intent_and_an_outcome_that_name_the_model(guard, model, client, events):
    server = model([text("ok")])
    client(server).chat.completions.create(model="gpt-4o", messages=said(f"write to {EMAIL}"))
    intent, outcome = events(action="llm.generate")
    assert (intent["kind"], outcome["kind"]) == ("call.intent", "call.outcome")
    host = server.base_url.removeprefix("http://").removesuffix("/v1")
    assert intent["model"]["host"] == host
    assert intent["model"]["requested"] == "gpt-4o"
    assert outcome["model"]["responded"] == "gpt-4o"
    assert outcome["usage"]["total_tokens"] == outcome["usage"]["prompt_tokens"] + outcome["usage"]["completion_tokens"]
    assert outcome["status"] == "ok"
    assert intent["findings"] == {"pii.email": 1}
    assert EMAIL not in json.dumps([intent, outcome])


def test_other_endpoints_are_requests_to_the_host(guard, model, client, events):
    server = model()
    made = client(server)
    made.models.list()
    made.moderations.create(input=f"is {EMAIL} bad?")
    assert [e["resource"][0]["uri"].split("/", 3)[3] for e in events(kind="call.intent")] == ["models", "moderations"]
    assert {e["action"] for e in events(kind="call.intent")} == {"http.request"}
    assert EMAIL not in server.requests[1].text


def test_too_deep_a_body_ends_in_a_clear_error_and_nothing_is_sent(guard, model, client):
    server = model([text("ok")])
    deep = "end"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises((guardai.PolicyDenied, RecursionError)):
        client(server).post("/chat/completions", body={"model": "gpt-4o", "messages": deep}, cast_to=object)
    assert server.requests == []
    while isinstance(deep, list):
        deep = deep.pop()
