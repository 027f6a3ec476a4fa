"""The demo itself: builds the shop, sets the guard, plays the scenes, reads the ledger, tries to falsify it.

Two lines in `_govern` are all that a program has to add to an agent: `guardai.init` and `guardai.session`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import guardai
from guardai.cli.demo import shop
from guardai.cli.demo.agent import Agent
from guardai.cli.demo.script import DESK_CHUNKS, SCENES, Scene, model, pasted_key
from guardai.cli.demo.story import (
    Act,
    Check,
    FaultTold,
    ModelTold,
    Story,
    Tampered,
    ToolTold,
    Verified,
    calls,
    leaks,
)
from guardai.cli.demo.tamper import copy_and_change
from guardai.testing.model_server import ModelServer, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AGENT", "STAND_IN", "play"]

AGENT: Final = "shop-assistant"
STAND_IN: Final = "stand-in"
#: As `guardai verify --json` says it.
_VERDICTS: Final = ("whole", "broken", "cannot tell")
_DEFAULT_MODEL: Final = "gpt-4o-mini"
#: A real endpoint that does not answer within this is not waited for.
_TIMEOUT_SECONDS: Final = 60.0


class _Stage:
    """What a scene is played on: the agent, and the stand-in's side of the wire where there is one."""

    def __init__(self, told: ModelTold, agent: Agent, server: ModelServer | None, sent: list[Reply]) -> None:
        self.told = told
        self.agent = agent
        self.server = server
        self.sent = sent

    def received(self, since: int) -> list[dict[str, str]] | None:
        """The conversation as the model has it, from the last request: all of the earlier ones is in there."""
        if self.server is None:
            return None
        last = self.server.requests[since:][-1:]
        return [_message(message) for request in last for message in request.messages if message["role"] != "system"]

    def last_sent(self) -> list[str] | None:
        """The pieces of the stand-in's last answer."""
        return list(self.sent[-1].choices[0].chunks) if self.sent else None


def play(
    home: Path | None, base_url: str | None, name: str | None, *, progress: Callable[[str], None] = lambda _: None
) -> Story:
    """Plays the demo and returns its story.

    Args:
        home: where guardai keeps what it writes; a temporary folder if None.
        base_url: a real endpoint; None is the stand-in on loopback.
        name: the model to ask for at a real endpoint.
        progress: told the title of each scene before it is played.

    Raises:
        openai.OpenAIError: the real endpoint refused or failed.
        guardai.GuardError: guardai could not be set up.
    """
    began = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="guardai-demo-"))
    home = (home or folder / "home").expanduser().absolute()
    database = folder / "shop.db"
    shop.build(database)
    with ExitStack() as stack:
        stage = _stage(stack, database, base_url, name)
        acts = _govern(home, stage, progress)
        arrived = "\n".join(request.text for request in stage.server.requests) if stage.server is not None else None
    return _tell(home, folder, stage.told, acts, arrived=arrived, began=began)


def _stage(stack: ExitStack, database: Path, base_url: str | None, name: str | None) -> _Stage:
    import openai

    if base_url is not None:
        key = os.environ.get("OPENAI_API_KEY") or "none"
        client = stack.enter_context(openai.OpenAI(base_url=base_url, api_key=key, timeout=_TIMEOUT_SECONDS))
        told = ModelTold(stand_in=False, name=name or _DEFAULT_MODEL, base_url=base_url)
        return _Stage(told, Agent(client, told.name, database), None, [])
    sent: list[Reply] = []

    def script(request: Request) -> Reply:
        sent.append(model(request))
        return sent[-1]

    server = stack.enter_context(ModelServer(script))
    # A proxy that the environment names is for the network; this is loopback. The user's key stays out of it as well.
    http = openai.DefaultHttpxClient(trust_env=False)
    client = stack.enter_context(openai.OpenAI(base_url=server.base_url, api_key=STAND_IN, http_client=http))
    told = ModelTold(stand_in=True, name=STAND_IN, base_url=server.base_url)
    return _Stage(told, Agent(client, told.name, database), server, sent)


def _govern(home: Path, stage: _Stage, progress: Callable[[str], None]) -> list[Act]:
    from guardai.policy import STARTER

    # Everything is given, so that a configuration in the working directory does not turn the demo into something else.
    guardai.init(
        home=home,
        policy=STARTER,
        mode="enforce",
        environment="dev",
        region="",
        integrations=["openai", "dbapi"],
        app_calls="ignore",
        ledger_mode="spool",
        sinks=[],
    )
    try:
        return [_play(scene, stage, progress) for scene in SCENES]
    finally:
        guardai.shutdown()


def _play(scene: Scene, stage: _Stage, progress: Callable[[str], None]) -> Act:
    progress(scene.title)
    since = len(stage.server.requests) if stage.server is not None else 0
    pieces = None
    with guardai.session(user=scene.user, agent=AGENT, purpose=scene.purpose, audience=scene.audience) as session:
        if scene.audience == "person":
            pieces = list(stage.agent.stream(scene.question))
            answer = "".join(pieces)
        else:
            answer = stage.agent.ask(scene.question)
    return Act(
        scene=scene.key,
        title=scene.title,
        session=session.id,
        user=scene.user,
        agent=AGENT,
        purpose=scene.purpose,
        audience=scene.audience,
        question=scene.question,
        tools=[
            ToolTold(
                tool=step.tool,
                wrote="; ".join(str(value) for value in step.arguments.values()),
                result=step.result,
                denied=step.failed and step.result.startswith("PolicyDenied"),
            )
            for step in stage.agent.steps
        ],
        model_received=stage.received(since),
        model_sent=stage.last_sent(),
        pieces=pieces,
        answer=answer,
        note=scene.note,
    )


def _message(message: dict[str, Any]) -> dict[str, str]:
    content = message.get("content") or ""
    for call in message.get("tool_calls") or ():
        content += f"{call['function']['name']}({call['function']['arguments']})"
    return {"role": str(message["role"]), "content": content}


def _tell(home: Path, folder: Path, told: ModelTold, acts: list[Act], *, arrived: str | None, began: float) -> Story:
    from guardai import ledger

    raw = list(ledger.events(home))
    events = [json.loads(event) for event in raw]
    purposes = {act.session: act.purpose for act in acts}
    made = calls(events, acts, purposes)
    # The worst that happened is what somebody would want to blame on another: the first denial.
    chosen = next((call.outcome for call in made if call.status == "denied"), "") or made[-1].outcome
    change = copy_and_change(home, folder / "tampered", raw[[event["id"] for event in events].index(chosen)])
    verified = _verified(home)
    tampered = Tampered(**change._asdict(), verified=_verified(folder / "tampered"))
    checks = [
        *_promised(acts, folder / "shop.db", arrived, scripted=told.stand_in),
        Check(what="no event holds an e-mail address outside its principal", held=not leaks(raw)),
        Check(what="the ledger is whole", held=verified.verdict == "whole"),
        Check(
            what="the changed copy is broken, and the event is named",
            held=tampered.verified.verdict == "broken"
            and any(f.event == change.event for f in tampered.verified.faults),
        ),
    ]
    return Story(
        model=told,
        home=str(home),
        folder=str(folder),
        acts=acts,
        calls=made,
        verification=verified,
        tampered=tampered,
        checks=checks,
        milliseconds=round((time.perf_counter() - began) * 1000),
    )


def _verified(home: Path) -> Verified:
    from guardai import ledger
    from guardai.lineage import EdgeTable

    report = ledger.verify(home, projection=EdgeTable())
    return Verified(
        home=str(home),
        events=report.events,
        signed=report.signed,
        verdict=_VERDICTS[report.verdict],
        faults=[
            FaultTold(code=fault.code, event=fault.event, meaning=ledger.CODES[fault.code]) for fault in report.faults
        ],
        notes=report.notes,
    )


def _promised(acts: list[Act], database: Path, arrived: str | None, *, scripted: bool) -> list[Check]:
    """What the scenes promise, looked up where it can be seen: on the wire, in the answers, in the shop."""
    with closing(sqlite3.connect(database)) as connection:
        left = connection.execute("SELECT count(*) FROM customers").fetchone()[0]
        refunded = connection.execute("SELECT id FROM orders WHERE status = 'refunded'").fetchall()
        personal = {
            value for row in connection.execute("SELECT email, phone, iban, card FROM customers") for value in row
        }
    checks = [Check(what=f"all {shop.CUSTOMERS:,} customers are still there", held=left == shop.CUSTOMERS)]
    if not scripted or arrived is None:
        return checks
    answers = {act.scene: act.answer for act in acts}
    denied = [tool.denied for act in acts if act.scene == "destruction" for tool in act.tools]
    return [
        Check(
            what="no e-mail, phone, IBAN or card of the shop reached the model",
            held=not any(value in arrived for value in personal),
        ),
        Check(what="the pasted key did not reach the model", held=pasted_key() not in arrived),
        Check(
            what="the process got its answer with the real addresses",
            held=any(value in answers["rows"] for value in personal),
        ),
        Check(what="all five ways to empty the table were denied", held=len(denied) == 5 and all(denied)),
        *checks,
        Check(
            what="the person was shown no whole address",
            held=not any(value in answers["stream"] for value in (*personal, "".join(DESK_CHUNKS))),
        ),
        Check(what="the bounded change was made", held=refunded == [(17,)]),
    ]
