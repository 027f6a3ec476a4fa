"""Plain and async functions as governed tools."""

import asyncio

import guardai

guardai.init()


@guardai.tool(effects="read")
def order_status(order: int) -> dict[str, object]:
    return {"order": order, "status": "sent"}


@guardai.tool(name="notify", effects="write")
async def notify(address: str, text: str) -> str:
    await asyncio.sleep(0)
    return f"sent {len(text)} characters to {address}"


with guardai.session(user="u-1042", agent="help-desk", purpose="answer a customer"):
    print(order_status(7))
    print(asyncio.run(notify("ann@example.com", text="Your order is on its way.")))

guardai.shutdown()
