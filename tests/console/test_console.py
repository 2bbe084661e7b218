"""The console in a real browser: what a person sees, in light and dark, and that the browser has nothing to complain of.

Screenshots go to the folder that TURNPIKE_SCREENSHOTS names, where it is set.
"""

import json
import os
import shutil
from pathlib import Path

import gateway_process
import pytest
import upstream as scripted
from gateway_process import eventually, manifest, secret
from selenium import webdriver
from selenium.webdriver.common.by import By

KEY = "sk-app-0123456789abcdefghij"
ALL = {"namespace": True}


def model(name, url, model_name, **spec):
    """A ModelDeployment that is asked once."""
    return manifest("ModelDeployment", name, {
        "modelName": model_name, "retry": {"attempts": 0},
        "provider": {"type": "OpenAI", "baseURL": url, "model": spec.pop("upstream", "gpt-4o"),
                     "credentials": {"secretRef": {"name": "upstream", "key": "api-key"}}}, **spec})


def objects(url):
    """A small team's gateway, one of whose models is wrong."""
    price = {"inputPerMillion": "2500.00", "outputPerMillion": "10000.00"}
    return [
        secret("upstream", **{"api-key": scripted.KEY}),
        secret("app", **{"api-key": KEY}),
        model("gpt-4o-east", url, "gpt-4o", aliases=["smart"], price=price, limits={"rpm": 600, "tpm": 200000},
              health={"active": True, "interval": "1s"}),
        model("broken", url, "broken", upstream="fail-500", price={"inputPerMillion": "1.00", "outputPerMillion": "2.00"},
              health={"active": False, "allowedFails": 1, "cooldown": "1h"}),
        manifest("ModelDeployment", "chat", {"modelName": "chat", "route": {"targets": [
            {"modelRef": {"name": "gpt-4o-east"}, "weight": 90}, {"modelRef": {"name": "broken"}, "weight": 10}]}}),
        manifest("ModelDeployment", "canned", {"mock": {"response": "A canned answer."}}),
        manifest("ModelDeployment", "mistaken", {"provider": {"type": "OpenAI", "baseURL": "no-url"}}),
        manifest("VirtualKey", "app", {"secretRef": {"name": "app", "key": "api-key"}, "allowedModels": ["*"],
                                       "subject": {"team": "search", "user": "ann"}, "limits": {"rpm": 120},
                                       "budget": [{"window": "Day", "usd": "5"}]}),
        manifest("VirtualKey", "paused", {"keyHash": "sha256:" + "0" * 64, "allowedModels": ["gpt-4o"],
                                          "suspended": True}),
        manifest("Budget", "team", {"scope": ALL, "limits": [{"window": "Month", "type": "Rolling", "usd": "2"},
                                                             {"window": "Day", "type": "Rolling", "tokens": 100000}],
                                    "alertThresholds": [50, 80]}),
    ]


@pytest.fixture(scope="module")
def gateway():
    """A gateway that has had some traffic."""
    upstream = scripted.Upstream()
    with gateway_process.Gateway(objects(upstream.url + "/v1")) as running:
        hello = [{"role": "user", "content": "Say hello to the people who look at this page."}]
        for name in ["gpt-4o", "smart", "canned", "broken", "broken", "nobody", "gpt-4o"]:
            body = {"model": name, "messages": hello, "max_tokens": 10}
            status, headers, text = running.request("POST", "/v1/chat/completions", body, key=KEY)
            assert status == {"broken": 500, "nobody": 404}.get(name, 200), text
        running.spend(headers["x-litellm-call-id"])
        yield running


@pytest.fixture(params=["light", "dark"])
def browser(request):
    """Chromium, which must have nothing to complain of in the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
                 "--window-size=1360,900", "--no-proxy-server"]
    if request.param == "dark":
        options.add_argument("--force-dark-mode")
        options.add_experimental_option("prefs", {"browser.theme.color_scheme": 2})
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.set_page_load_timeout(60)
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": request.param}]})
        driver.scheme = request.param
        yield driver
        assert [line for line in driver.get_log("browser") if line["level"] in ("WARNING", "SEVERE")] == []


def text(browser, selector="main"):
    """What is to be read there now."""
    return browser.execute_script(
        "return document.querySelector(arguments[0])?.innerText ?? ''", selector)


def shows(browser, *wanted, selector="main"):
    """Waits until all of this is to be read."""
    def search():
        now = text(browser, selector)
        return now if all(one in now for one in wanted) else None
    return eventually(f"{browser.current_url} shows {wanted}", search)


def shot(browser, name):
    """Keeps how the whole page looks."""
    folder = os.environ.get("TURNPIKE_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        height = browser.execute_script("return document.documentElement.scrollHeight")
        browser.set_window_size(1360, max(700, min(height + 150, 3000)))
        browser.save_screenshot(str(Path(folder) / f"{name}-{browser.scheme}.png"))


def sign_in(browser, gateway, key=gateway_process.ADMIN_KEY):
    """As a person does."""
    browser.get(gateway.url + "/ui")
    field = browser.find_element(By.ID, "key")
    assert browser.switch_to.active_element == field, "one types the key at once"
    field.send_keys(key)
    browser.find_element(By.CSS_SELECTOR, "main button").click()


def test_a_person_signs_in_looks_at_every_page_and_leaves(browser, gateway):
    browser.get(gateway.url + "/ui")
    shot(browser, "sign-in")
    sign_in(browser, gateway)
    shows(browser, "Overview", "1 of 2\nbackends take requests", "requests today", "spent today")
    # Over all days of the chart, whatever the time of day.
    days = [bar.get_attribute("textContent") for bar in browser.find_elements(By.CSS_SELECTOR, ".chart title")]
    assert len(days) == 14
    assert sum(int(day.split(", ")[1].split()[0]) for day in days) >= 7, days
    assert any("$0." in day and "$0.00" not in day for day in days), days
    shot(browser, "overview")

    browser.find_element(By.LINK_TEXT, "Models").click()
    row = shows(browser, "Cooling down, ", " min", "requests failed", selector="[data-model='default/broken']")
    assert "not probed" in row
    shows(browser, "Healthy", "probe answered", "$2,500.00 in", selector="[data-model='default/gpt-4o-east']")
    shows(browser, "ModelDeployment default/mistaken", "Next step:", selector=".problems")
    shot(browser, "models")

    browser.find_element(By.LINK_TEXT, "Budgets").click()
    shows(browser, "of $2.00", "any month", selector="[data-budget='default/team']")
    bars = browser.find_elements(By.CSS_SELECTOR, "[data-budget='default/team'] .bar .spent")
    assert [bar.rect["width"] > 0 for bar in bars] == [True, True], "what is spent is drawn"
    shot(browser, "budgets")

    browser.find_element(By.LINK_TEXT, "Keys").click()
    shows(browser, "of $5.00", "120 requests/min", "search", selector="[data-key='default/app']")
    shows(browser, "Suspended", selector="[data-key='default/paused']")
    assert KEY not in browser.page_source
    shot(browser, "keys")

    browser.find_element(By.LINK_TEXT, "Requests").click()
    shows(browser, "gpt-4o", "canned", "nobody", "500 ")
    shot(browser, "requests")
    browser.find_element(By.ID, "model").send_keys("smart")
    browser.find_element(By.CSS_SELECTOR, ".filters button").click()
    eventually("only what was asked for", lambda: "canned" not in text(browser, "table"))
    browser.find_element(By.CSS_SELECTOR, "tbody a").click()
    shows(browser, "answered the client", "default/gpt-4o-east")
    shot(browser, "request")

    browser.find_element(By.CSS_SELECTOR, "header button").click()
    eventually("the form again", lambda: browser.current_url.endswith("/ui/sign-in"))
    browser.get(gateway.url + "/ui/models")
    assert browser.current_url.endswith("/ui/sign-in")


def test_a_page_keeps_itself_up_to_date(browser, gateway):
    sign_in(browser, gateway)
    browser.get(gateway.url + "/ui/requests")
    before = len(browser.find_elements(By.CSS_SELECTOR, "tbody tr"))
    body = {"model": "canned", "messages": [{"role": "user", "content": "hi"}]}
    status, headers, _ = gateway.request("POST", "/v1/chat/completions", body, key=KEY)
    assert status == 200, json.dumps(body)
    shows(browser, headers["x-litellm-call-id"][:8])
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) > before
