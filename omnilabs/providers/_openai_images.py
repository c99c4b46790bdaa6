"""OpenAI-shaped image generation.

Source: https://platform.openai.com/docs/api-reference/images/create, read 2026-11-23.
"""

from __future__ import annotations

from typing import Any

from omnilabs._http import HttpRequest, HttpResponse
from omnilabs.errors import ResponseFormatError, UnsupportedParameterError
from omnilabs.providers._base import Target, encode_json
from omnilabs.providers._openai_compat import headers

__all__ = ["image_request", "parse_images"]

DEFAULT_SIZE, DEFAULT_QUALITY = "1024x1024", "standard"
"""What `generate_image` documents."""


def image_request(target: Target, *, prompt: str, size: str, quality: str, n: int) -> HttpRequest:
    """Return the request for `n` pictures.

    The documented defaults are left out where they say nothing: `standard` is what every model that has qualities of
    these names makes unasked, and others refuse the word; a provider that takes no size makes its own.

    Raises:
        UnsupportedParameterError: The provider has no OpenAI-shaped images route, or takes no size or quality.
    """
    spec = target.endpoint.spec
    path = spec.images_path
    if path is None:
        raise UnsupportedParameterError(
            f"{target.provider} has no OpenAI-shaped images route: choose a model of a provider that has one",
            parameters=("model",),
            provider=target.provider,
            model=target.model.id,
        )
    body: dict[str, Any] = {"model": target.model.name, "prompt": prompt}
    refused = [
        name
        for name, value, default in (("size", size, DEFAULT_SIZE), ("quality", quality, DEFAULT_QUALITY))
        if name in spec.unsupported and value != default
    ]
    if refused:
        raise UnsupportedParameterError(
            f"{target.provider} takes no {' and no '.join(refused)} of a picture: leave it out",
            parameters=refused,
            provider=target.provider,
            model=target.model.id,
        )
    if "size" not in spec.unsupported:
        body["size"] = size
    if quality != DEFAULT_QUALITY:
        body["quality"] = quality
    body["n"] = n
    return HttpRequest(
        "POST",
        f"{target.endpoint.base_url}{path}",
        headers(target.endpoint.api_key, target.endpoint.headers),
        encode_json(body),
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
