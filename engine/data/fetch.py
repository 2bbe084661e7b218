"""Downloads a repository of the hub into HF_HOME and tells on PROGRESS_PORT how far it is, in percent."""

import fnmatch, http.server, json, os, pathlib, signal, sys, threading

from huggingface_hub import HfApi, snapshot_download

# The first process of a container hears only what it asks for; else its pod would end with the whole grace period.
signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
repository, revision = os.environ["MODEL_REPOSITORY"], os.environ["MODEL_REVISION"]
cache = pathlib.Path(os.environ["HF_HOME"], "hub", "models--" + repository.replace("/", "--"))
# Weights that come once more in another format; the engine reads safetensors where there are any.
DOUBLES = ["pytorch_model*.bin*", "consolidated*.pth", "original/*", "tf_model*", "flax_model*", "*.h5", "*.msgpack",
           "*.onnx", "onnx/*", "openvino/*", "coreml/*", "*.tflite", "*.gguf"]
total = 0


def fetched():
    try:
        return sum(min(file.st_size, file.st_blocks * 512) for file in map(os.stat, (cache / "blobs").iterdir()))
    except OSError:
        return 0


class Progress(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/progress":
            return self.send_error(404)
        percent = min(100, fetched() * 100 // total) if total else 0
        body = json.dumps({"percent": percent}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ignored = []
try:
    files = HfApi().model_info(repository, revision=revision, files_metadata=True).siblings
    if any(file.rfilename.endswith(".safetensors") for file in files):
        ignored = DOUBLES
    wanted = [file for file in files if not any(fnmatch.fnmatch(file.rfilename, double) for double in ignored)]
    total = sum(file.size or 0 for file in wanted)
except Exception as error:
    # Files that are in the cache need no hub; those that were left out are not missed.
    print(f"cannot ask the hub about {repository}: {error}", file=sys.stderr)
    if any(cache.glob("snapshots/*/**/*.safetensors")):
        ignored = DOUBLES
server = http.server.ThreadingHTTPServer(("", int(os.environ["PROGRESS_PORT"])), Progress)
threading.Thread(target=server.serve_forever, daemon=True).start()
try:
    # Safe beside others: the library locks each file, and gives it its name once it is whole.
    print(snapshot_download(repository, revision=revision, ignore_patterns=ignored))
except Exception as error:
    sys.exit(f"cannot fetch {repository} at {revision}: " + " ".join(str(error).split()))
