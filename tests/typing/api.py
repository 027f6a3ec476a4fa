"""The public API as typed code uses it; checked by `nox -s types`, never run."""

from typing import assert_type

import guardai


@guardai.tool
def bare(a: int, b: str = "") -> float:
    return a + len(b)


@guardai.tool(name="named", effects="write", resource="crm")
async def asynchronous(a: int) -> list[str]:
    return [str(a)]


assert_type(bare(1, b="x"), float)


async def main() -> None:
    assert_type(await asynchronous(1), list[str])
    async with guardai.session(user="u", agent="a", audience="person", on_denied="abort", id="s-1") as session:
        assert_type(session.principal.user, str)


guardai.init(home="x", mode="observe", integrations=["dbapi"])
assert_type(guardai.record("review.done", score=1), str)
assert_type(guardai.Label("pii.email"), guardai.Label)
try:
    bare(1)
except guardai.PolicyDenied as refused:
    assert_type(refused.policies, tuple[str, ...])
