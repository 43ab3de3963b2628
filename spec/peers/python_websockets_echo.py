"""Python's websockets against evws over TLS and with compression:
python_websockets_echo.py <file of echo.lua's lines> <file of the CA>

Written for websockets 10.4.
"""

import asyncio
import itertools
import os
import ssl
import sys

import websockets
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory)

FILE, CA = sys.argv[1:]
MIB = 1 << 20
TEXT = "".join(f"{i * i} Grüße, 世界; " for i in range(MIB // 10))

# Where the machine is shared, all limits are longer.
FACTOR = float(os.environ.get("EVWS_TIME_FACTOR", 1))

failed = 0


async def test(heading, name, body, seconds=15):
    """Runs one test within its time and prints its line."""
    global failed
    text = f"Python websockets, server, {heading}: {name}"
    try:
        await asyncio.wait_for(body, seconds * FACTOR)
        print(f"ok - {text}", flush=True)
    except Exception as error:
        failed += 1
        why = " ".join(str(error).split()) or type(error).__name__
        print(f"not ok - {text}: {why[:300]}", flush=True)


async def echoes(ws, *sizes):
    for size in sizes:
        for message in (TEXT[:size], os.urandom(size)):
            await ws.send(message)
            assert await ws.recv() == message, f"{size}: changed"


def connect(url, **options):
    options = {"compression": None, "max_size": None,
               "open_timeout": 10 * FACTOR, "close_timeout": 10 * FACTOR,
               "ping_timeout": 20 * FACTOR, **options}
    return websockets.connect(url, **options)


async def sizes(url, options):
    async with connect(url, **options) as ws:
        await echoes(ws, 0, 125, 126, 65535, 65536, MIB)


async def many(url, options):
    async with connect(url, max_queue=None, **options) as ws:
        for i in range(1000):
            await ws.send(f"message {i}")
        for i in range(1000):
            assert await ws.recv() == f"message {i}"


async def fragments(url, options):
    async with connect(url, **options) as ws:
        await ws.send(["Grü", "", "ße ", TEXT[:9999]])
        assert await ws.recv() == "Grüße " + TEXT[:9999]


async def pings(url, options):
    async with connect(url, ping_interval=None, **options) as ws:
        await (await ws.ping(b"hello"))


async def closed(url, options):
    async with connect(url + "/close/4001", **options) as ws:
        try:
            await ws.recv()
        except ConnectionClosed:
            pass
        assert ws.close_code == 4001, ws.close_code
        assert ws.close_reason == "Grüße", ws.close_reason


async def basics(over, url, options):
    for body in sizes, many, fragments, pings, closed:
        await test(over, body.__name__, body(url, options))


def tls(version=None):
    context = ssl.create_default_context(cafile=CA)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


async def version_is(url, options, version):
    async with connect(url, **options) as ws:
        found = ws.transport.get_extra_info("ssl_object").version()
        assert found == version, found


async def compressed(url, factory):
    async with connect(url, extensions=[factory]) as ws:
        assert ws.extensions, "it was declined"
        await echoes(ws, 0, 16, 1000, 1000, 70000, 200000, 1000)


async def combinations(variant, url):
    for values in itertools.product((False, True), (False, True),
                                    (None, 9, 15), (None, True, 9)):
        names = " ".join(map(str, values))
        await test("deflate", f"{variant}, offer {names}", compressed(
            url, ClientPerMessageDeflateFactory(*values)))


async def main():
    with open(FILE, encoding="utf-8") as lines:
        found = [line.rstrip("\n").split("\t") for line in lines]
    for over, variant, url in (line for line in found if len(line) == 3):
        if over.startswith("TLS"):
            name = over.replace("TLS ", "TLSv")
            options = {"ssl": tls(ssl.TLSVersion[name.replace(".", "_")])}
            await test(over, "the version", version_is(url, options, name))
            await basics(over, url, options)
        elif over == "deflate over TLS":
            await basics(over, url, {"ssl": tls(), "compression": "deflate"})
        else:
            await combinations(variant, url)


asyncio.run(asyncio.wait_for(main(), 90 * FACTOR))
sys.exit(2 if failed else 0)  # 1 is left for a breakdown of this script
