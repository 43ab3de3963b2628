"""Python's websockets against the echo sample: python_websockets.py <port>

Written for websockets 10.4, the one of Debian 12.
"""

import asyncio
import os
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

PORT = sys.argv[1]
ABOUT = "Python websockets, server, plain"
MIB = 1 << 20  # the default of max_message
TEXT = "Grüße, 世界 🎉"

# Where the machine is shared, all limits are longer.
FACTOR = float(os.environ.get("EVWS_TIME_FACTOR", 1))

failed = 0


async def test(name, body, seconds=15):
    """Runs one test within its time and prints its line."""
    global failed
    try:
        await asyncio.wait_for(body, seconds * FACTOR)
        print(f"ok - {ABOUT}: {name}", flush=True)
    except Exception as error:
        failed += 1
        why = " ".join(str(error).split()) or type(error).__name__
        print(f"not ok - {ABOUT}: {name}: {why[:300]}", flush=True)


def connect(path="/ws", **options):
    options = {"compression": None, "max_size": None,
               "open_timeout": 10 * FACTOR, "close_timeout": 10 * FACTOR,
               "ping_timeout": 20 * FACTOR, **options}
    return websockets.connect(f"ws://127.0.0.1:{PORT}{path}", **options)


async def echo(ws, message):
    await ws.send(message)
    answer = await ws.recv()
    whole = message if isinstance(message, (str, bytes)) else (
        type(message[0])().join(message))
    assert type(answer) is type(whole), f"{type(answer).__name__} came back"
    assert answer == whole, f"{len(whole)} came back as {len(answer)}"


async def close_code(ws):
    """The code the connection ends with, whatever comes before."""
    try:
        while True:
            await ws.recv()
    except ConnectionClosed:
        return ws.close_code


async def expect_close(ws, *codes):
    code = await close_code(ws)
    assert code in codes, f"closed with {code}"


async def text_and_binary():
    async with connect() as ws:
        await echo(ws, TEXT)
        await echo(ws, bytes(range(256)))
        await echo(ws, "")
        await echo(ws, b"")


async def size(count):
    async with connect() as ws:
        await echo(ws, "x" * count)
        await echo(ws, os.urandom(count))


async def fragments(parts):
    async with connect() as ws:
        await echo(ws, parts)


async def many_in_order():
    async with connect(max_queue=None) as ws:
        for i in range(1000):
            await ws.send(f"message {i}")
        for i in range(1000):
            answer = await ws.recv()
            assert answer == f"message {i}", answer


async def fifty_clients():
    async def one(number):
        async with connect() as ws:
            for i in range(20):
                await echo(ws, f"client {number}, message {i}")
                await echo(ws, os.urandom(100 * number + i))
    await asyncio.gather(*(one(number) for number in range(50)))


async def pings():
    async with connect(ping_interval=None) as ws:
        waiters = [await ws.ping(data) for data in (b"1", b"", b"x" * 125)]
        await asyncio.gather(*waiters)
        await echo(ws, "after the pings")


async def pings_among_messages():
    async with connect(ping_interval=None) as ws:
        for i in range(20):
            waiter = await ws.ping(str(i).encode())
            await echo(ws, f"message {i}")
            assert waiter.done(), "the echo came before the pong"


async def close(code):
    async with connect() as ws:
        await ws.send("last words")
        closing = asyncio.ensure_future(ws.close(code, "Grüße"))
        assert await ws.recv() == "last words"
        await closing
        assert ws.close_code == code, f"closed with {ws.close_code}"


async def close_is_quick():
    """The server drops TCP itself: the client need not wait for its limit."""
    loop = asyncio.get_running_loop()
    ws = await connect()
    start = loop.time()
    await ws.close()
    assert loop.time() - start < 2 * FACTOR, f"took {loop.time() - start:.1f} s"


async def wrong_utf8():
    async with connect() as ws:
        await ws.write_frame(True, 1, b"\xed\xa0\x80")
        await expect_close(ws, 1007)


async def wrong_frame(frame):
    async with connect() as ws:
        ws.transport.write(frame)
        await expect_close(ws, 1002)


async def too_big():
    async with connect() as ws:
        await ws.send(b"x" * (MIB + 1))
        await expect_close(ws, 1009)


async def deflate():
    async with connect(compression="deflate") as ws:
        for message in (TEXT, TEXT * 5000, b"\0" * 100000, os.urandom(9999)):
            await echo(ws, message)


async def subprotocols():
    """None of those offered is known: connected without one."""
    async with connect(subprotocols=["chat", "superchat"]) as ws:
        assert ws.subprotocol is None, ws.subprotocol
        await echo(ws, TEXT)


async def other_path():
    try:
        async with connect("/other"):
            raise AssertionError("it was accepted")
    except InvalidStatusCode as error:
        assert error.status_code == 404, error.status_code


async def any_origin():
    async with connect(origin="https://elsewhere.example") as ws:
        await echo(ws, TEXT)


async def gone_without_goodbye():
    """Clients that vanish leave the server well."""
    for _ in range(20):
        ws = await connect()
        await ws.send("x" * 1000)
        ws.transport.abort()
    async with connect() as ws:
        await echo(ws, TEXT)


async def main():
    bystander = await connect(ping_interval=None)
    await test("text and binary", text_and_binary())
    for count in (125, 126, 65535, 65536, MIB):
        await test(f"{count} characters and bytes", size(count))
    for name, parts in {
        "two": ["Grü", "ße"],
        "four with empty ones": ["", "a", "", "b"],
        "binary": [b"\xff\xfe", b"\x00", b"\x01\x02"],
        "a thousand": ["€"] * 1000,
    }.items():
        await test(f"fragments: {name}", fragments(parts))
    await test("1,000 messages in order", many_in_order())
    await test("50 clients at once", fifty_clients())
    await test("pings with payloads", pings())
    await test("pings among messages", pings_among_messages())
    for code in (1000, 1001, 3000, 4999):
        await test(f"close {code} with a reason", close(code))
    await test("the server ends TCP after the closing handshake",
               close_is_quick())
    await test("invalid UTF-8 ends with 1007", wrong_utf8())
    for name, frame in {
        "an unmasked frame": b"\x81\x02hi",
        "a length not in its shortest form": b"\x81\xfe\x00\x02\0\0\0\0hi",
        "a length with the top bit set": b"\x82\xff\x80" + bytes(11),
        "reserved bits": b"\xb1\x82\0\0\0\0hi",
        "a reserved control opcode": b"\x8b\x80\0\0\0\0",
    }.items():
        await test(f"{name} ends with 1002", wrong_frame(frame))
    await test("a message above max_message ends with 1009", too_big())
    await test("permessage-deflate offered", deflate())
    await test("unknown subprotocols offered", subprotocols())
    await test("any path but /ws is 404", other_path())
    await test("any origin is welcome", any_origin())
    await test("clients that vanish", gone_without_goodbye())
    await test("a bystander has noticed nothing", echo(bystander, TEXT))
    await bystander.close()


asyncio.run(asyncio.wait_for(main(), 55 * FACTOR))
sys.exit(2 if failed else 0)  # 1 is left for a breakdown of this script
