"""Python's websockets as the server of our client:
python_websockets_server.py <folder of certificates>

Written for websockets 10.4. Prints one line for each way to reach it,
"<over what>\\t<variant>\\t<url>", then "ready". What its paths do is said in
dial.lua.
"""

import asyncio
import collections
import http
import itertools
import os
import ssl
import sys
from urllib.parse import parse_qs, urlsplit

import websockets
from websockets.extensions.permessage_deflate import (
    ServerPerMessageDeflateFactory)

CERTIFICATES = sys.argv[1]
MIB = 1 << 20
FACTOR = float(os.environ.get("EVWS_TIME_FACTOR", 1))  # lengthens limits
LIMITS = {"close_timeout": 10 * FACTOR, "ping_timeout": 20 * FACTOR}
ends = collections.defaultdict(asyncio.Future)  # id -> how it was closed


async def echo(ws, _):
    async for message in ws:
        await ws.send(message)


async def close(ws, query):
    await ws.close(int(query["code"]), "Grüße")


async def end(ws, query):
    await ws.send(await ends[query["id"]])


async def ping(ws, _):
    data = b"from the server"
    await (await ws.ping(data))
    await ws.send(f"pong {data.decode()}")
    await ws.wait_closed()


async def fragments(ws, _):
    async def parts():
        for part in ("Grü", "", "ße, ", "世界"):
            yield part
            await ws.ping()
    await ws.send(parts())
    await ws.wait_closed()


PATHS = {"/echo": echo, "/close": close, "/end": end, "/ping": ping,
         "/fragments": fragments}


async def handler(ws):
    url = urlsplit(ws.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    try:
        await PATHS[url.path](ws, query)
    except websockets.ConnectionClosed:
        pass
    finally:
        await ws.wait_closed()
        if url.path == "/echo" and "id" in query:
            ends[query["id"]].set_result(f"{ws.close_code} {ws.close_reason}")


async def refuse(path, _):
    if path.startswith("/refuse"):
        return http.HTTPStatus.FORBIDDEN, [], b"no"


async def listen(over, variant="", **options):
    """Listens with these options of serve, and says where."""
    server = await websockets.serve(
        handler, "127.0.0.1", 0, process_request=refuse, subprotocols=["v2"],
        max_size=4 * MIB, **{"compression": None, **LIMITS, **options})
    port = server.sockets[0].getsockname()[1]
    scheme = "wss" if "ssl" in options else "ws"
    print(f"{over}\t{variant}\t{scheme}://localhost:{port}", flush=True)


def tls(version=None):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(f"{CERTIFICATES}/localhost.pem",
                            f"{CERTIFICATES}/localhost.key")
    if version:
        context.minimum_version = context.maximum_version = version
    return context


async def main():
    await listen("plain")
    await listen("TLS 1.2", ssl=tls(ssl.TLSVersion.TLSv1_2))
    await listen("TLS 1.3", ssl=tls(ssl.TLSVersion.TLSv1_3))
    for values in itertools.product((False, True), (False, True),
                                    (None, 9), (None, 9)):
        await listen("deflate", " ".join(map(str, values)),
                     extensions=[ServerPerMessageDeflateFactory(*values)])
    await listen("deflate over TLS", compression="deflate", ssl=tls())
    print("ready", flush=True)
    await asyncio.Future()


asyncio.run(main())
