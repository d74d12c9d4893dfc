import asyncio

import pytest

from streetvision_core.errors import ModelServerError
from streetvision_core.serving._line import Line

GOOD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def run(scenario, *scripts):
    """A server whose n-th connection answers each request with the next text of the n-th script; None hangs up."""

    async def main():
        rest, seen = list(scripts), []

        async def serve(reader, writer):
            script = rest.pop(0) if rest else [GOOD]
            try:
                for text in script:
                    head = await reader.readuntil(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    seen.append((head.split(b" ")[0].decode(), await reader.readexactly(length)))
                    if text is None:
                        break
                    if text == "silence":
                        seen.append(await reader.read(1))
                        break
                    writer.write(text)
            except asyncio.IncompleteReadError:
                pass
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        line = Line(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with server:
            result = await scenario(line)
            line.abort()
            await asyncio.sleep(0.01)
        return result, seen

    return asyncio.run(asyncio.wait_for(main(), 10))


def test_request__one_connection_for_many():
    async def scenario(line):
        return [await line.request("POST", "/a", {"x-a": "1"}, b"body") for _ in range(3)]

    replies, seen = run(scenario, [GOOD] * 3, [b"not reached"])
    assert [tuple(r) for r in replies] == [(200, b"ok")] * 3
    assert seen == [("POST", b"body")] * 3


def test_request__a_kept_connection_that_was_closed_is_opened_anew():
    async def scenario(line):
        await line.request("GET", "/")
        await asyncio.sleep(0.02)
        return await line.request("GET", "/")

    assert run(scenario, [GOOD], [GOOD])[0].body == b"ok"


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nwithout a length",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        b"x" * 100_000,
    ],
)
def test_request__a_broken_answer_is_named(text):
    async def scenario(line):
        with pytest.raises(ModelServerError):
            await line.request("GET", "/")
        return await line.request("GET", "/")

    assert run(scenario, [text], [GOOD])[0].status == 200


def test_request__cancelling_hangs_up():
    async def scenario(line):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await line.request("GET", "/")

    assert run(scenario, ["silence"])[1] == [("GET", b""), b""]


def test_abort__whoever_waits_is_told():
    async def scenario(line):
        job = asyncio.create_task(line.request("GET", "/"))
        await asyncio.sleep(0.05)
        line.abort()
        with pytest.raises(ModelServerError):
            await job

    run(scenario, ["silence"])


def test_request__nobody_there():
    async def scenario():
        for url in ("http://127.0.0.1:9", "unix:/nowhere/at/all"):
            with pytest.raises(ModelServerError, match="model server"):
                await Line(url).request("GET", "/")

    asyncio.run(scenario())
