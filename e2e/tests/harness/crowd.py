"""A thousand clients at once: tasks of one process, each with a connection of its own that it keeps."""

import asyncio
import collections
import contextlib
import json
from urllib.parse import urlsplit

import h11

# How long a client waits before it tries again, seconds; after a failure twice as long as after the one before, up to the
# longest, as SDKs do. After how many refusals in a row it gives up.
PAUSE, LONGEST, PATIENCE = 0.25, 8, 4
# More failures in a row than a busy machine brings about.
MOST_FAILURES = 12


class Client:
    """One connection that is made anew where the server has ended it."""

    def __init__(self, url, value):
        at = urlsplit(url)
        self.host, self.port, self.value = at.hostname, at.port, value
        self.reader = self.writer = self.state = None

    async def connect(self):
        """Makes a connection where there is none."""
        if self.state is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
            self.state = h11.Connection(our_role=h11.CLIENT)

    def close(self):
        """Ends the connection."""
        if self.writer:
            self.writer.close()
        self.state = None

    async def post(self, path, body):
        """Status and JSON of the answer."""
        await self.connect()
        content = json.dumps(body).encode()
        head = h11.Request(method="POST", target=path, headers=[
            ("host", self.host), ("authorization", f"Bearer {self.value}"), ("content-type", "application/json"),
            ("content-length", str(len(content)))])
        events = head, h11.Data(data=content), h11.EndOfMessage()
        self.writer.write(b"".join(self.state.send(event) for event in events))
        status, answer = None, b""
        while True:
            event = self.state.next_event()
            if event is h11.NEED_DATA:
                self.state.receive_data(await self.reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
        try:
            self.state.start_next_cycle()
        except h11.LocalProtocolError:
            self.close()
        return status, json.loads(answer)


class Crowd:
    """Clients that all begin at once, and each call again until they were refused some times in a row."""

    def __init__(self, url, value, body):
        self.url, self.value, self.body = url, value, body
        # Answers by status and code of the error.
        self.answers = collections.Counter()
        self.in_flight = self.most_in_flight = 0

    def exhaust(self, clients):
        """Runs so many of them to their end."""
        asyncio.run(self.run(clients))

    async def run(self, clients):
        """All connections are there before the first request is sent."""
        crowd = [Client(self.url, self.value) for _ in range(clients)]
        await asyncio.gather(*(client.connect() for client in crowd))
        await asyncio.gather(*(self.spend(client) for client in crowd))

    async def spend(self, client):
        """What a client does that does not take no for an answer."""
        refusals = failures = 0
        with contextlib.closing(client):
            while refusals < PATIENCE:
                status, code = await self.call(client)
                if status == 200:
                    refusals = failures = 0
                    continue
                refusals += status == 429
                # On a busy machine the store or the upstream may be too slow.
                failures = failures + 1 if status >= 500 else 0
                assert status == 429 or 0 < failures <= MOST_FAILURES, f"{status} {code}"
                await asyncio.sleep(min(PAUSE * 2**failures, LONGEST))

    async def call(self, client):
        """One request: its status, and the code of its error."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            status, answer = await client.post("/v1/chat/completions", self.body)
        finally:
            self.in_flight -= 1
        code = answer.get("error", {}).get("code")
        self.answers[status, code] += 1
        return status, code
