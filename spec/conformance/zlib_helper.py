"""zlib for the judge of compressed messages, by an implementation that is not
evws's: python3 zlib_helper.py

Prints its port of 127.0.0.1 and serves the first who connects, to the end. A
request is: "D" (deflate) or "I" (inflate), the number of a stream, its window
bits, 1 to forget the context afterwards, the length as 4 octets, and a message.
The answer is 0 or 1 (bad), the length as 4 octets, and a message or a reason.
"""

import socket
import struct
import zlib

TAIL = b"\0\0\xff\xff"  # RFC 7692 7.2.1

streams = {}


def deflate(stream, data):
    whole = stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH)
    assert whole.endswith(TAIL)
    return whole[:-4]


def inflate(stream, data):
    """In small steps, so that a distance beyond the window is noticed."""
    parts, data = [], data + TAIL
    while data and not stream.eof:
        parts.append(stream.decompress(data, 512))
        data = stream.unconsumed_tail
    parts.append(stream.decompress(b""))
    if stream.unused_data:
        raise zlib.error("data behind the last block")
    return b"".join(parts)


def answer(kind, number, bits, forget, data):
    key = kind, number
    if key not in streams:
        streams[key] = (zlib.compressobj(6, zlib.DEFLATED, -bits)
                        if kind == "D" else zlib.decompressobj(-bits))
    result = (deflate if kind == "D" else inflate)(streams[key], data)
    if forget:
        del streams[key]
    return result


def exactly(source, count):
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data


def main():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        listener.settimeout(60)
        peer, _ = listener.accept()
    peer.settimeout(None)
    with peer, peer.makefile("rb") as source:
        while True:
            kind, number, bits, forget, count = struct.unpack(
                ">cIBBI", exactly(source, 11))
            data = exactly(source, count)
            try:
                status, data = 0, answer(kind.decode(), number, bits, forget,
                                         data)
            except zlib.error as error:
                status, data = 1, str(error).encode()
            peer.sendall(struct.pack(">BI", status, len(data)) + data)


try:
    main()
except EOFError:
    pass
