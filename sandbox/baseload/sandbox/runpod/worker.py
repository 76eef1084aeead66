"""A sandbox worker: what runs in the container, in a process of its own. Speaks lines of JSON over its pipes.

One request a line on standard input (`run`, `input`, `image`, `model`), one answer a line on standard output (`run` and
`output` or `error`). Answers depend on the input alone. Ends when standard input does, so none outlives its sandbox.
Only the standard library, and run by its path: a worker must start in milliseconds.

`input.sandbox` asks for bad luck: `{"fail": "text"}` is an error of the handler, `{"crash": true}` ends the process.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from typing import Any

DEFAULT_TOKENS = 16
"""vLLM's default of `max_tokens`."""


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; words stand for tokens."""
    asked = request["input"]
    wish = asked.get("sandbox") if isinstance(asked, dict) else None
    if isinstance(wish, dict) and wish.get("crash"):
        os._exit(134)
    if isinstance(wish, dict) and "fail" in wish:
        return {"error": str(wish["fail"])}
    if isinstance(asked, dict) and "openai_route" in asked:
        return _openai(request, asked["openai_route"], asked.get("openai_input") or {})
    prompt = _prompt(asked)
    text = answer(prompt, request["model"] or request["image"], _limit(asked))
    usage = {"input": len(prompt.split()), "output": len(text.split())}
    if request["model"]:
        return {"output": [{"choices": [{"tokens": [text]}], "usage": usage}]}
    return {"output": {"text": text, "usage": usage}}


def answer(prompt: str, name: str, limit: int) -> str:
    """At most `limit` words: who answers, and the prompt's words in an order that depends on both."""
    seed = hashlib.sha256(f"{name}\n{prompt}".encode()).hexdigest()
    words = sorted(prompt.split(), key=lambda word: hashlib.sha256(f"{seed}{word}".encode()).digest())
    said = f"[{name} in the sandbox, {len(prompt.split())} tokens in, seed {seed[:8]}]".split()
    return " ".join([*said, *words][: max(limit, len(said))])


def _openai(request: dict[str, Any], route: str, body: dict[str, Any]) -> dict[str, Any]:
    if route != "/v1/chat/completions" or body.get("stream"):
        return {"error": f"the sandbox does not know {route} (or not as a stream)"}
    prompt = _prompt(body)
    name = request["model"] or request["image"]
    text = answer(prompt, name, _limit(body))
    counts = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = counts | {"total_tokens": sum(counts.values())}
    identity = hashlib.sha256(text.encode()).hexdigest()[:24]
    return {
        "output": {
            "id": f"chatcmpl-{identity}",
            "object": "chat.completion",
            "created": 0,
            "model": body.get("model") or name,
            "choices": [choice],
            "usage": usage,
        }
    }


def _prompt(asked: Any) -> str:
    if not isinstance(asked, dict):
        return str(asked)
    if isinstance(messages := asked.get("messages"), list):
        return "\n".join(str(message.get("content", "")) for message in messages if isinstance(message, dict))
    return str(asked["prompt"]) if "prompt" in asked else json.dumps(asked, sort_keys=True)


def _limit(asked: Any) -> int:
    if not isinstance(asked, dict):
        return DEFAULT_TOKENS
    parameters = asked.get("sampling_params")
    value = (parameters if isinstance(parameters, dict) else asked).get("max_tokens")
    return value if isinstance(value, int) and value > 0 else 4 * DEFAULT_TOKENS


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"run": request["run"], **handle(request)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
