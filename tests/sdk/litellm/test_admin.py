"""LiteLLM's own client of the admin API makes, reads, changes and deletes keys of the gateway."""

import os

import gateway_process
import openai
import pytest
import requests
import stand

# Read when the module is imported: no fetching of its price map.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
from litellm.proxy.client.exceptions import UnauthorizedError  # noqa: E402
from litellm.proxy.client.keys import KeysManagementClient  # noqa: E402

HELLO = [{"role": "user", "content": "Hello there, gate"}]


@pytest.fixture
def keys(gateway):
    """The client as its users make it, with the admin key."""
    return KeysManagementClient(gateway.url, gateway_process.ADMIN_KEY)


def ask(gateway, key):
    """A call of a model with this key."""
    with openai.OpenAI(base_url=gateway.v1, api_key=key, max_retries=0,
                       http_client=openai.DefaultHttpxClient(trust_env=False)) as client:
        return client.chat.completions.create(model="gpt-4o", messages=HELLO).choices[0].message.content


def test_the_life_of_a_key(gateway, keys):
    made = keys.generate(models=["gpt-4o"], key_alias="of-litellm", duration="30d", user_id="ann", team_id="ml")
    assert ask(gateway, made["key"]) == "You said: Hello there, gate"
    row = keys.info(made["key"])["info"]
    assert (row["key_alias"], row["user_id"], row["team_id"], row["models"]) == ("of-litellm", "ann", "ml", ["gpt-4o"])
    listed = keys.list(return_full_object=True, key_alias="of-litellm", size=100)
    assert [one["token"] for one in listed["keys"]] == [made["token"]]

    changed = keys.update(key=made["key"], models=["gpt-4"])
    assert changed["models"] == ["gpt-4"]
    with pytest.raises(openai.NotFoundError):
        ask(gateway, made["key"])

    assert keys.delete(keys=[made["key"]])["deleted_keys"] == [made["key"]]
    with pytest.raises(openai.AuthenticationError):
        ask(gateway, made["key"])
    assert keys.list(key_alias="of-litellm")["total_count"] == 0


def test_what_is_not_the_admins_is_refused(gateway, keys):
    with pytest.raises(UnauthorizedError):
        KeysManagementClient(gateway.url, "sk-nobody-0123456789abcdef").list()
    with pytest.raises(requests.HTTPError) as refused:
        keys.generate(aliases={"gpt-4": "gpt-4o"})
    assert refused.value.response.json()["error"]["param"] == "aliases"
    with pytest.raises(requests.HTTPError) as refused:
        keys.delete(keys=[stand.KEYS["app"][0]])
    assert refused.value.response.status_code == 409
