"""An OpenAI endpoint that answers at once: `python -m cli.standins.instant_llm --port 0` prints its base URL.

With it, what a brief takes is what everything but the model takes. The answer quotes the evidence it was
given, in the form it was asked for, so that it stands up to the checker as a model's answer would.
"""

import argparse
import json
import re
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cli.standins.loopback import serve

_QUOTED: Final = 3
_DATA: Final = re.compile(r"<<[0-9a-f]+>>\n(.*?)\n<<[0-9a-f]+>>", re.DOTALL)
_SECTION_OF: Final = {"past_ticket": "similar_tickets", "article": "knowledge"}

Object = dict[str, Any]


def application() -> Starlette:
    return Starlette(routes=[Route("/v1/chat/completions", _complete, methods=["POST"])])


async def _complete(http: Request) -> Response:
    asked: Object = orjson.loads(await http.body())
    prompt = "".join(message["content"] for message in asked["messages"])
    answer = orjson.dumps(quoting(asked["response_format"]["json_schema"]["schema"], prompt)).decode()
    read, written = len(prompt) // 4 + 1, len(answer) // 4 + 1
    completion = {
        "id": "chatcmpl-instant",
        "object": "chat.completion",
        "created": 0,
        "model": asked["model"],
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}}
        ],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written},
    }
    return Response(orjson.dumps(completion), media_type="application/json")


def quoting(schema: Object, prompt: str) -> Object:
    """Write what stands up to the checker: the evidence in the prompt, quoted in the form asked for."""
    known = set(schema["$defs"]["statement"]["properties"]["evidence_ids"]["items"]["enum"])
    brief: dict[str, list[Object]] = {section: [] for section in schema["required"]}
    quoted = [each for each in _evidence(prompt) if each["id"] in known][:_QUOTED]
    for each in quoted:
        section = _SECTION_OF.get(each["kind"], "network")
        brief[section].append({"text": each["title"], "evidence_ids": [each["id"]]})
        if each["resolution"]:
            brief["first_steps"].append({"text": each["resolution"][:200], "evidence_ids": [each["id"]]})
    return dict(brief)


def _evidence(prompt: str) -> list[dict[str, str]]:
    *_, last = _DATA.findall(prompt)
    evidence: list[dict[str, str]] = json.loads(last)
    return evidence


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI endpoint that answers at once.")
    parser.add_argument("--port", type=int, required=True)
    serve(application(), port=parser.parse_args().port)


if __name__ == "__main__":
    main()
