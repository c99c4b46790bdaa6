"""OpenAI-shaped image generation.

Source: https://platform.openai.com/docs/api-reference/images/create, read 2026-11-23.
"""

from __future__ import annotations

import json
from typing import Any

from omnilabs._http import HttpRequest, HttpResponse
from omnilabs.errors import ResponseFormatError, UnsupportedParameterError
from omnilabs.providers._base import Target
from omnilabs.providers._openai_compat import headers

__all__ = ["image_request", "parse_images"]


def image_request(target: Target, *, prompt: str, size: str, quality: str, n: int) -> HttpRequest:
    """Return the request for `n` pictures.

    Raises:
        UnsupportedParameterError: The provider has no OpenAI-shaped images route.
    """
    path = target.endpoint.spec.images_path
    if path is None:
        raise UnsupportedParameterError(
            f"{target.provider} has no OpenAI-shaped images route: choose a model of a provider that has one",
            parameters=("model",),
            provider=target.provider,
            model=target.model.id,
        )
    body = {"model": target.model.name, "prompt": prompt, "size": size, "quality": quality, "n": n}
    return HttpRequest(
        "POST",
        f"{target.endpoint.base_url}{path}",
        headers(target.endpoint.api_key, target.endpoint.headers),
        json.dumps(body, ensure_ascii=False).encode(),
    )


def parse_images(reply: HttpResponse, target: Target) -> dict[str, Any]:
    """Return `{"urls", "model", "provider"}`; a picture sent as data becomes a `data:image/png;base64,` URL.

    Raises:
        ResponseFormatError: A picture with neither address nor data.
    """
    body = reply.json()
    items = body.get("data") if isinstance(body, dict) else None
    urls = [_url_of(item) for item in items] if isinstance(items, list) else []
    if not urls or None in urls:
        raise ResponseFormatError(
            f"{target.provider} answered {reply.status} but data[] holds no picture",
            body_prefix=reply.text,
            provider=target.provider,
            model=target.model.id,
            request_id=reply.request_id,
        )
    return {"urls": urls, "model": target.model.name, "provider": target.provider}


def _url_of(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    if item.get("url"):
        return str(item["url"])
    return f"data:image/png;base64,{item['b64_json']}" if item.get("b64_json") else None
