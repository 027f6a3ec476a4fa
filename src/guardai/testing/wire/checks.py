"""What the real API refuses, refused here with the same status and in much the same words.

A stand-in that accepts everything hides bugs: an adapter that breaks a conversation in two would pass every test and
fail at the provider. Each check names the parameter, as the provider does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["BadRequestError", "check_chat", "check_embeddings", "check_moderations", "check_responses"]

_CHAT_ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
_INPUT_ROLES: Final = ("assistant", "system", "developer", "user")
_PARTS: Final = ("text", "image_url", "input_audio", "refusal", "file")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_FORMATS: Final = ("text", "json_object", "json_schema")
_MAX_CHOICES: Final = 128


class BadRequestError(Exception):
    """A request that the real API refuses."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def _missing(param: str) -> BadRequestError:
    return BadRequestError(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")


def _wrong_type(param: str, wanted: str) -> BadRequestError:
    return BadRequestError(f"Invalid type for '{param}': expected {wanted}.", param=param, code="invalid_type")


def _wrong_value(param: str, value: object, allowed: tuple[str, ...]) -> BadRequestError:
    names = ", ".join(f"'{name}'" for name in allowed)
    return BadRequestError(
        f"Invalid value: '{value}'. Supported values are: {names}.", param=param, code="invalid_value"
    )


def _check_model(body: Mapping[str, Any]) -> None:
    model = body.get("model")
    if model is None or model == "":
        raise BadRequestError("you must provide a model parameter")
    if not isinstance(model, str):
        raise _wrong_type("model", "a string")


def check_chat(body: Mapping[str, Any]) -> None:
    """Raises BadRequestError if the chat completions API would refuse this body."""
    _check_model(body)
    messages = body.get("messages")
    if messages is None:
        raise _missing("messages")
    if not isinstance(messages, list):
        raise _wrong_type("messages", "an array of objects")
    if not messages:
        raise BadRequestError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
            code="empty_array",
        )
    for n, message in enumerate(messages):
        _check_message(message, f"messages[{n}]")
    _check_answers(messages)
    _check_tools(body, _chat_tool)
    _check_format(body.get("response_format"), "response_format", nested=True)
    if body.get("stream_options") is not None and not body.get("stream"):
        raise BadRequestError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    choices = body.get("n")
    if choices is not None and not (isinstance(choices, int) and 1 <= choices <= _MAX_CHOICES):
        raise BadRequestError(
            f"Invalid 'n': expected an integer from 1 to {_MAX_CHOICES}.", param="n", code="invalid_value"
        )


def _check_message(message: object, where: str) -> None:
    if not isinstance(message, dict):
        raise _wrong_type(where, "an object")
    role = message.get("role")
    if role is None:
        raise _missing(f"{where}.role")
    if role not in _CHAT_ROLES:
        raise _wrong_value(f"{where}.role", role, _CHAT_ROLES)
    calls = message.get("tool_calls")
    if calls is not None:
        _check_calls(calls, f"{where}.tool_calls", role)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise _missing(f"{where}.tool_call_id")
    content = message.get("content")
    if content is None:
        # An assistant's message may be all tool calls; everyone else has to say something.
        if role != "assistant" or not (calls or message.get("function_call") or message.get("refusal")):
            raise BadRequestError(
                f"Invalid value for 'content': expected a string, got null in {where}.", param=f"{where}.content"
            )
        return
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise _wrong_type(f"{where}.content", "one of a string or array of objects")
    for n, part in enumerate(content):
        if not isinstance(part, dict):
            raise _wrong_type(f"{where}.content[{n}]", "an object")
        kind = part.get("type")
        if kind not in _PARTS:
            raise _wrong_value(f"{where}.content[{n}].type", kind, _PARTS)
        if kind == "text" and not isinstance(part.get("text"), str):
            raise _missing(f"{where}.content[{n}].text")


def _check_calls(calls: object, where: str, role: str) -> None:
    if role != "assistant":
        raise BadRequestError(f"Unknown parameter: '{where}'.", param=where, code="unknown_parameter")
    if not isinstance(calls, list):
        raise _wrong_type(where, "an array of objects")
    if not calls:
        raise BadRequestError(f"Invalid '{where}': empty array.", param=where, code="empty_array")
    for n, call in enumerate(calls):
        if not isinstance(call, dict) or not isinstance(call.get("id"), str):
            raise _missing(f"{where}[{n}].id")
        if call.get("type", "function") != "function":
            continue
        function = call.get("function")
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise _missing(f"{where}[{n}].function.name")
        if not isinstance(function.get("arguments"), str):
            raise _wrong_type(f"{where}[{n}].function.arguments", "a string")


def _check_answers(messages: list[dict[str, Any]]) -> None:
    """Every tool message answers a call of the assistant message before it, and every call is answered."""
    open_calls: list[str] = []
    asked: set[str] = set()
    for n, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in asked:
                raise BadRequestError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{n}].role",
                )
            open_calls = [call for call in open_calls if call != message["tool_call_id"]]
            continue
        _all_answered(open_calls, n)
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        asked = set(open_calls)
    _all_answered(open_calls, len(messages))


def _all_answered(open_calls: list[str], n: int) -> None:
    if open_calls:
        raise BadRequestError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}",
            param=f"messages.[{n}].role",
        )


def _check_tools(body: Mapping[str, Any], check: Callable[[Any, str], None]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") not in (None, "none", "auto"):
            raise BadRequestError("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
        return
    if not isinstance(tools, list):
        raise _wrong_type("tools", "an array of objects")
    for n, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("type"), str):
            raise _missing(f"tools[{n}].type")
        check(tool, f"tools[{n}]")


def _chat_tool(tool: dict[str, Any], where: str) -> None:
    if tool["type"] == "function":
        function = tool.get("function")
        if not isinstance(function, dict):
            raise _missing(f"{where}.function")
        _check_function(function, f"{where}.function")


def _responses_tool(tool: dict[str, Any], where: str) -> None:
    if tool["type"] == "function":
        _check_function(tool, where)


def _check_function(function: Mapping[str, Any], where: str) -> None:
    name = function.get("name")
    if name is None:
        raise _missing(f"{where}.name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadRequestError(
            f"Invalid '{where}.name': string does not match pattern '^[a-zA-Z0-9_-]+$'.",
            param=f"{where}.name",
            code="invalid_value",
        )
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise _wrong_type(f"{where}.parameters", "an object")


def _check_format(wanted: object, where: str, *, nested: bool) -> None:
    if wanted is None:
        return
    if not isinstance(wanted, dict):
        raise _wrong_type(where, "an object")
    kind = wanted.get("type")
    if kind not in _FORMATS:
        raise _wrong_value(f"{where}.type", kind, _FORMATS)
    if kind != "json_schema":
        return
    described = wanted.get("json_schema") if nested else wanted
    where = f"{where}.json_schema" if nested else where
    if not isinstance(described, dict):
        raise _missing(where)
    if not isinstance(described.get("name"), str) or not _NAME.fullmatch(described["name"]):
        raise _missing(f"{where}.name")
    schema = described.get("schema")
    if not isinstance(schema, dict):
        raise _missing(f"{where}.schema")
    if described.get("strict") and schema.get("additionalProperties") is not False:
        raise BadRequestError(
            f"Invalid schema for response_format '{described['name']}': In context=(), 'additionalProperties' is "
            "required to be supplied and to be false.",
            param=where,
        )


def check_responses(body: Mapping[str, Any], earlier: Mapping[str, frozenset[str]]) -> None:
    """Raises BadRequestError if the Responses API would refuse this body.

    Args:
        body: the request.
        earlier: ids of earlier responses and the calls that they made, for `previous_response_id`.
    """
    _check_model(body)
    previous = body.get("previous_response_id")
    if previous is not None and previous not in earlier:
        raise BadRequestError(
            f"Previous response with id '{previous}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    given = body.get("input")
    if given is None:
        if previous is None:
            raise _missing("input")
        given = []
    if not isinstance(given, str | list):
        raise _wrong_type("input", "one of a string or array of input items")
    if not given and previous is None:
        raise BadRequestError("Invalid 'input': expected at least one item.", param="input", code="empty_array")
    if isinstance(given, list):
        _check_input(given, earlier.get(previous or "", frozenset()))
    _check_tools(body, _responses_tool)
    text = body.get("text")
    if isinstance(text, dict):
        _check_format(text.get("format"), "text.format", nested=False)


def _check_input(items: list[Any], asked_before: frozenset[str]) -> None:
    asked: set[str] = set(asked_before)
    answered: set[str] = set()
    for n, item in enumerate(items):
        if not isinstance(item, dict):
            raise _wrong_type(f"input[{n}]", "an object")
        kind = item.get("type", "message")
        if kind == "message":
            if item.get("role") not in _INPUT_ROLES:
                raise _wrong_value(f"input[{n}].role", item.get("role"), _INPUT_ROLES)
            if not isinstance(item.get("content"), str | list):
                raise _missing(f"input[{n}].content")
        elif kind == "function_call":
            if not isinstance(item.get("arguments"), str):
                raise _wrong_type(f"input[{n}].arguments", "a string")
            asked.add(str(item.get("call_id")))
        elif kind == "function_call_output":
            call = str(item.get("call_id"))
            if call not in asked:
                raise BadRequestError(
                    f"No tool call found for function call output with call_id {call}.", param="input"
                )
            if not isinstance(item.get("output"), str | list):
                raise _missing(f"input[{n}].output")
            answered.add(call)
    for call in sorted(asked - answered):
        raise BadRequestError(f"No tool output found for function call {call}.", param="input")


def check_embeddings(body: Mapping[str, Any]) -> None:
    """Raises BadRequestError if the embeddings API would refuse this body."""
    _check_model(body)
    given = body.get("input")
    if given is None:
        raise _missing("input")
    if not isinstance(given, str | list) or not given or (isinstance(given, list) and not all(_text_or_tokens(given))):
        raise BadRequestError("'$.input' is invalid. Please check the API reference.", param="input")
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise _wrong_value("encoding_format", body["encoding_format"], ("float", "base64"))


def _text_or_tokens(given: list[Any]) -> list[bool]:
    return [isinstance(item, int) or (isinstance(item, str | list) and bool(item)) for item in given]


def check_moderations(body: Mapping[str, Any]) -> None:
    """Raises BadRequestError if the moderations API would refuse this body."""
    if not body.get("input"):
        raise _missing("input")
