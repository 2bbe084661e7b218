"""Clients that call all the time while a test changes things around them."""

import threading
import time

import openai

CLIENTS = 6


class Load:
    """Clients that each send their next request when the last was answered."""

    def __init__(self, url, value, model, is_right, retries=openai.DEFAULT_MAX_RETRIES, clients=CLIENTS, options=None):
        self.url, self.value, self.model, self.is_right, self.retries = url, value, model, is_right, retries
        self.options = options or {}
        self.answered, self.failures, self.stopping, self.texts = 0, [], threading.Event(), set()
        self.threads = [threading.Thread(target=self.call, args=(number,)) for number in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def call(self, number):
        """As an application does: the official SDK."""
        with openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.value, timeout=20, max_retries=self.retries) as client:
            while not self.stopping.is_set():
                try:
                    # Half of them stream; every tenth makes a connection of its own, as a new process would.
                    answer = client.chat.completions.create(
                        **self.options, model=self.model, messages=[{"role": "user", "content": "Hello"}],
                        stream=number % 2 == 0, extra_headers={"connection": "close"} if self.answered % 10 == 0 else {})
                    if number % 2 == 0:
                        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
                    else:
                        text = answer.choices[0].message.content
                    assert self.is_right(text), text
                    self.texts.add(text)
                    self.answered += 1
                except Exception as error:  # noqa: BLE001 - whatever it is, the client was failed
                    self.failures.append((time.monotonic(), repr(error)))
                time.sleep(0.01)

    def check(self, least):
        """Nothing failed so far, and something happened."""
        assert not self.failures, f"{len(self.failures)} of {self.answered}: {self.failures[:3]}"
        assert self.answered >= least, f"only {self.answered} requests"
