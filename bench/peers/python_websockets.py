# Python's websockets:
# python3 python_websockets.py PORT TLS_PORT DEFLATE_PORT CERTIFICATE KEY
import asyncio
import logging
import ssl
import sys
import websockets
from websockets.extensions.permessage_deflate import (
    ServerPerMessageDeflateFactory)

everyone = set()


async def handle(ws):
    path = ws.path if hasattr(ws, "path") else ws.request.path
    try:
        if path != "/broadcast":
            async for message in ws:
                await ws.send(message)
            return
        everyone.add(ws)
        async for message in ws:
            websockets.broadcast(everyone, message)
    except websockets.ConnectionClosed:
        pass
    finally:
        everyone.discard(ws)


async def main():
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    port, tls_port, deflate_port = map(int, sys.argv[1:4])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4], sys.argv[5])
    deflate = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True, client_no_context_takeover=True,
        compress_settings={"level": 1})
    options = {"compression": None, "max_size": 64 << 20, "backlog": 1024}
    await websockets.serve(handle, "127.0.0.1", port, **options)
    await websockets.serve(handle, "127.0.0.1", tls_port, ssl=context,
                           **options)
    await websockets.serve(handle, "127.0.0.1", deflate_port,
                           extensions=[deflate], **options)
    await asyncio.Future()

try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass
