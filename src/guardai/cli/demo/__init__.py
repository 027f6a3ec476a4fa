"""`guardai demo`: an agent, a shop and a model, and what guardai does between them."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from guardai.cli.options import REFUSED, USAGE, Home, Json, refuse

__all__ = ["register"]

_BASE_URL = typer.Option(
    "--base-url", help="A real OpenAI-compatible endpoint instead of the stand-in (or OPENAI_BASE_URL)."
)
_MODEL = typer.Option("--model", help="Which model to ask for at that endpoint.")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    home: Home = None,
    as_json: Json = False,
    base_url: Annotated[str | None, _BASE_URL] = None,
    model: Annotated[str | None, _MODEL] = None,
) -> None:
    """See it work: a shop, an agent, a model, and everything that passes between them.

    Without --home the ledger is in a temporary folder, which is named. Exits with 0 if everything was as promised, 1 if
    something was not, 2 if the demo could not be played.
    """
    base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
    if model is not None and base_url is None:
        refuse("--model needs an endpoint", code=USAGE, next_step="Give --base-url or set OPENAI_BASE_URL.")
    try:
        import openai
    except ImportError:
        refuse(
            "the demo's agent uses the openai client, which is not installed",
            code=USAGE,
            next_step="Install guardai-sdk with its extra `demo`.",
        )
    # What nothing else on the command line needs is imported here.
    from guardai.cli.demo import show
    from guardai.cli.demo.run import play

    try:
        if as_json:
            story = play(home, base_url, model)
            show.as_json(story)
        else:
            with show.waiting() as progress:
                story = play(home, base_url, model, progress=progress)
            show.pages(story)
    except openai.OpenAIError as failed:
        refuse(f"the model endpoint failed: {failed}", code=USAGE)
    if not story.held:
        raise typer.Exit(REFUSED)
