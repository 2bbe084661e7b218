// Starts the stand (tests/harness/stand.py) and the official Node SDK for the tests.
//
// The packages lie outside the tree: NODE_ENV_FOLDER names the folder that holds node_modules.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL, fileURLToPath } from "node:url";

const folder = process.env.NODE_ENV_FOLDER;
if (!folder) throw new Error("NODE_ENV_FOLDER is not set: run `make test`");
const resolve = createRequire(path.join(folder, "package.json")).resolve;
const load = async (name) => import(pathToFileURL(resolve(name)));

export const { default: OpenAI, AzureOpenAI, ...errors } = await load("openai");
export const { zodResponseFormat } = await load("openai/helpers/zod");
export const { z } = await load("zod");

/** Starts upstream and gateway; `close()` ends both. */
export async function start() {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../harness/stand.py");
  const child = spawn(process.env.PYTHON ?? "python3", [script], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const line = await Promise.race([
    new Promise((got) => readline.createInterface({ input: child.stdout }).once("line", got)),
    ended.then((code) => { throw new Error(`the stand ended with ${code}`); }),
  ]);
  const stand = JSON.parse(line);
  return {
    ...stand,
    /** A client with the app's key that counts the requests it really sends. */
    client(options = {}) {
      const counted = { attempts: 0 };
      counted.openai = new OpenAI({
        baseURL: `${stand.gateway}/v1`, apiKey: stand.keys.app,
        fetch: (...args) => { counted.attempts += 1; return fetch(...args); },
        ...options,
      });
      return counted;
    },
    async recorded() { return (await fetch(`${stand.upstream}/_requests`)).json(); },
    async forget() { await fetch(`${stand.upstream}/_requests`, { method: "DELETE" }); },
    async close() { child.stdin.end(); await ended; },
  };
}
