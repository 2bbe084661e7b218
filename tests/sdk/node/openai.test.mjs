// The official Node SDK against a real gateway: chat, streams, tools, vision, embeddings, JSON schema,
// error classes and the SDK's own retries.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { AzureOpenAI, OpenAI, errors, start, z, zodResponseFormat } from "./stand.mjs";

const messages = [{ role: "user", content: "Hello there, gate" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const clock = { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } };

let stand;
before(async () => { stand = await start(); });
after(async () => { await stand?.close(); });
beforeEach(async () => { await stand.forget(); });
afterEach(async () => {
  const found = (await stand.recorded()).flatMap((one) => one.violations);
  assert.deepEqual(found, [], "nothing forbidden reaches the upstream");
});

test("chat", async () => {
  const { openai } = stand.client();
  const { data, response } = await openai.chat.completions.create({ model: "gpt-4o", messages }).withResponse();
  assert.equal(data.choices[0].message.content, "You said: Hello there, gate");
  assert.equal(data.model, "gpt-4o");
  assert.equal(data._request_id, response.headers.get("x-request-id"));
  assert.equal(data.usage.prompt_tokens_details.cached_tokens, 4);
  const cost = (10 * 2.5 + 4 * 1.25 + 5 * 10) / 1e6;
  assert.ok(Math.abs(Number(response.headers.get("x-litellm-response-cost")) - cost) < 1e-12);
});

test("stream, with and without usage", async () => {
  const { openai } = stand.client();
  for (const wanted of [false, true]) {
    const stream = await openai.chat.completions.create({
      model: "gpt-4o", messages, stream: true, ...(wanted && { stream_options: { include_usage: true } }),
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(chunks.map((one) => one.choices[0]?.delta.content ?? "").join(""), "You said: Hello there, gate");
    const usage = chunks.filter((one) => one.usage);
    assert.equal(usage.length, wanted ? 1 : 0);
    if (wanted) {
      assert.deepEqual(usage[0].choices, []);
      assert.equal(usage[0].usage.total_tokens, 19);
    }
    assert.ok(chunks.every((one) => one.model === "gpt-4o"));
  }
});

test("tools, one after another and in parallel", async () => {
  const { openai } = stand.client();
  const first = await openai.chat.completions.create({ model: "gpt-4o", messages, tools: [weather, clock] });
  const { message } = first.choices[0];
  assert.deepEqual(message.tool_calls.map((call) => call.function.name), ["get_weather", "get_time"]);
  const history = [...messages, message, ...message.tool_calls.map((call) => (
    { role: "tool", tool_call_id: call.id, content: call.function.name }))];
  const second = await openai.chat.completions.create({ model: "gpt-4o", messages: history });
  assert.equal(second.choices[0].message.content, "Tools said: get_weather; get_time");

  const ran = [];
  const runner = openai.chat.completions.runTools({
    model: "gpt-4o", messages, stream: true,
    tools: [{ type: "function", function: {
      ...weather.function, function: (args) => { ran.push(args); return "sun"; }, parse: JSON.parse,
    } }],
  });
  assert.equal(await runner.finalContent(), "Tools said: sun");
  assert.deepEqual(ran, [{ city: "Oslo" }]);
});

test("vision by URL and base64", async () => {
  const { openai } = stand.client();
  const picture = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256));
  const answer = await openai.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: [
    { type: "image_url", image_url: { url: "https://example.com/a.png" } },
    { type: "image_url", image_url: { url: `data:image/png;base64,${picture.toString("base64")}` } },
  ] }] });
  const digest = createHash("sha256").update(picture).digest("hex");
  assert.equal(answer.choices[0].message.content,
    `You said: image at https://example.com/a.png image of 4096 bytes sha256 ${digest}`);
});

test("JSON schema by the parse helper", async () => {
  const { openai } = stand.client();
  const answer = await openai.chat.completions.parse({
    model: "gpt-4o", messages,
    response_format: zodResponseFormat(z.object({ name: z.string(), size: z.number() }), "city"),
  });
  assert.deepEqual(answer.choices[0].message.parsed, { name: "Oslo", size: 1.5 });
});

test("embeddings: base64 by default, floats on request, the same values", async () => {
  const { openai } = stand.client();
  for (const model of ["text-embedding-3-small", "floats-only", "base64-only"]) {
    const packed = await openai.embeddings.create({ model, input: ["one two", "three"] });
    const floats = await openai.embeddings.create({ model, input: ["one two", "three"], encoding_format: "float" });
    assert.equal(packed.data[0].embedding.length, 8);
    // As 32-bit floats: a re-encoded number may be written with fewer digits.
    const values = (answer) => answer.data.map((one) => new Float32Array(one.embedding));
    assert.deepEqual(values(packed), values(floats));
    assert.notDeepEqual(packed.data[0].embedding, packed.data[1].embedding);
  }
});

test("models", async () => {
  const { openai } = stand.client();
  const listed = [];
  for await (const model of openai.models.list()) listed.push(model.id);
  assert.ok(listed.includes("gpt-4o") && listed.includes("smart"));
  assert.equal((await openai.models.retrieve("openai/o9-new")).id, "openai/o9-new");
});

test("Azure's client", async () => {
  const azure = new AzureOpenAI({ endpoint: stand.gateway, apiKey: stand.keys.app, apiVersion: "2024-10-21" });
  const answer = await azure.chat.completions.create({ model: "gpt-4o", messages });
  assert.equal(answer.choices[0].message.content, "You said: Hello there, gate");
});

// model, error class, status, attempts by the SDK (two retries by default), requests at the upstream
const table = [
  ["no-such-model", errors.NotFoundError, 404, 1, 0],
  ["fail-400", errors.BadRequestError, 400, 1, 1],
  ["fail-401", errors.InternalServerError, 502, 1, 1],
  ["fail-403", errors.InternalServerError, 502, 1, 1],
  ["fail-429", errors.RateLimitError, 429, 3, 3],
  ["fail-500", errors.InternalServerError, 500, 3, 3],
  ["hang", errors.InternalServerError, 504, 3, 3],
  ["unreachable", errors.InternalServerError, 503, 3, 0],
];
for (const [model, kind, status, attempts, reached] of table) {
  test(`error: ${model} is ${status} after ${attempts} attempts`, async () => {
    const counted = stand.client();
    const error = await counted.openai.chat.completions.create({ model, messages }).catch((caught) => caught);
    assert.equal(error.constructor, kind);
    assert.equal(error.status, status);
    assert.equal(counted.attempts, attempts);
    assert.equal((await stand.recorded()).length, reached);
  });
}

test("error: a bad key is 401 after one attempt", async () => {
  const counted = stand.client({ apiKey: "sk-unknown-0123456789abcdef" });
  await assert.rejects(counted.openai.chat.completions.create({ model: "gpt-4o", messages }),
    errors.AuthenticationError);
  assert.equal(counted.attempts, 1);
});

// key, model, attempts by the SDK, code, type, x-should-retry, least milliseconds
const limits = [
  ["poor", "priced", 1, "insufficient_quota", "budget_exceeded", "false", 0],
  ["hurried", "mock", 3, "rate_limit_exceeded", "rate_limit_error", null, 1900],
];
for (const [key, model, attempts, code, type, again, least] of limits) {
  test(`a limit: ${code} is 429 after ${attempts} attempts`, async () => {
    const counted = stand.client({ apiKey: stand.keys[key] });
    let [error, before, begun] = [null, 0, 0];
    for (let calls = 0; calls < 100 && !error; calls += 1) {
      [before, begun] = [counted.attempts, performance.now()];
      await counted.openai.chat.completions.create({ model, messages }).catch((caught) => { error = caught; });
    }
    assert.equal(error?.constructor, errors.RateLimitError);
    assert.equal(counted.attempts - before, attempts);
    assert.deepEqual([error.code, error.type, error.headers.get("x-should-retry")], [code, type, again]);
    assert.ok(performance.now() - begun >= least, "the SDK waited as it was told");
  });
}

test("the upstream's Retry-After is obeyed", async () => {
  const counted = stand.client();
  const begun = performance.now();
  const answer = await counted.openai.chat.completions.create({ model: "fail-429-once", messages });
  assert.equal(answer.model, "fail-429-once");
  assert.equal(counted.attempts, 2);
  assert.ok(performance.now() - begun > 900);
});

test("an error in the middle of a stream is raised, once", async () => {
  for (const model of ["cut", "half", "stream-error"]) {
    const counted = stand.client();
    const stream = await counted.openai.chat.completions.create({ model, messages, stream: true });
    let text = "";
    await assert.rejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
    }, OpenAI.APIError);
    assert.equal(text, "You said: ");
    assert.equal(counted.attempts, 1);
  }
});

test("a client that leaves ends the upstream's work", async () => {
  const { openai } = stand.client();
  const stream = await openai.chat.completions.create({ model: "trickle", messages, stream: true });
  for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
  stream.controller.abort();
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await stand.recorded()).some((one) => one.closed)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  assert.fail("the upstream still writes 10 s after the client left");
});
