"""Messages: the parts a message is made of, tool calls, and `ChatMessage` itself."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Literal, TypeAlias, cast

from omnilabs._frozen import frozen
from omnilabs._record import Record, plain
from omnilabs.errors import InvalidRequestError, ResponseFormatError

__all__ = [
    "AudioPart",
    "ChatMessage",
    "FilePart",
    "ImagePart",
    "Opaque",
    "Part",
    "ReasoningPart",
    "Role",
    "TextPart",
    "ToolCall",
    "parse_messages",
]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
_ROLE_ALIASES: Mapping[str, Role] = {"developer": "system", "function": "tool", "human": "user", "ai": "assistant"}


@frozen
class Opaque(Record):
    """What a provider attached to a part and must get back unchanged, such as a thinking block's signature.

    `data` is replayed byte for byte to `provider` and left out (and reported) for any other.
    """

    provider: str
    data: Mapping[str, Any]

    _keys: ClassVar[tuple[str, ...]] = ("provider", "data")


@frozen
class TextPart(Record):
    """A piece of text. `cache` asks the provider to keep the prompt up to here: for five minutes or an hour."""

    text: str
    cache: Literal["5m", "1h"] | None = None
    opaque: Opaque | None = None
    type: Literal["text"] = "text"

    _keys: ClassVar[tuple[str, ...]] = ("type", "text", "cache", "opaque")
    _optional: ClassVar[frozenset[str]] = frozenset({"cache", "opaque"})


@frozen
class _Media(Record):
    """A medium by `url`, or by base64 `data` with its `media_type`: exactly one of the two."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    def __post_init__(self) -> None:
        if (self.url is None) == (self.data is None):
            raise InvalidRequestError(f"{type(self).__name__} takes exactly one of url and data", parameter="messages")
        if self.data is not None and not self.media_type:
            raise InvalidRequestError(
                f"{type(self).__name__} with data needs a media_type such as 'image/png'", parameter="messages"
            )

    @property
    def data_url(self) -> str:
        """The medium as a `data:` URL, or its `url` where it was given by address."""
        return self.url if self.url is not None else f"data:{self.media_type};base64,{self.data}"


@frozen
class ImagePart(_Media):
    """An image by `url`, or by base64 `data` with its `media_type`; `ImagePart.from_bytes` encodes."""

    detail: Literal["low", "high", "auto"] | None = None
    cache: Literal["5m", "1h"] | None = None
    type: Literal["image"] = "image"

    _keys: ClassVar[tuple[str, ...]] = ("type", "url", "data", "media_type", "detail", "cache")
    _optional: ClassVar[frozenset[str]] = frozenset({"url", "data", "media_type", "detail", "cache"})

    @classmethod
    def from_bytes(
        cls, data: bytes, media_type: str, detail: Literal["low", "high", "auto"] | None = None
    ) -> ImagePart:
        """Return an image from raw bytes."""
        return cls(data=base64.b64encode(data).decode(), media_type=media_type, detail=detail)


@frozen
class FilePart(_Media):
    """A document, usually a PDF, by `url` or by base64 `data` with its `media_type`."""

    filename: str | None = None
    cache: Literal["5m", "1h"] | None = None
    type: Literal["file"] = "file"

    _keys: ClassVar[tuple[str, ...]] = ("type", "url", "data", "media_type", "filename", "cache")
    _optional: ClassVar[frozenset[str]] = frozenset({"url", "data", "media_type", "filename", "cache"})

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str = "application/pdf", filename: str | None = None) -> FilePart:
        """Return a document from raw bytes."""
        return cls(data=base64.b64encode(data).decode(), media_type=media_type, filename=filename)


@frozen
class AudioPart(_Media):
    """A sound by `url` or by base64 `data` with its `media_type`, such as `audio/wav`."""

    type: Literal["audio"] = "audio"

    _keys: ClassVar[tuple[str, ...]] = ("type", "url", "data", "media_type")
    _optional: ClassVar[frozenset[str]] = frozenset({"url", "data", "media_type"})

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str) -> AudioPart:
        """Return a sound from raw bytes."""
        return cls(data=base64.b64encode(data).decode(), media_type=media_type)


@frozen
class ReasoningPart(Record):
    """What a model thought before it answered. `opaque` carries the provider's signed original."""

    text: str = ""
    opaque: Opaque | None = None
    type: Literal["reasoning"] = "reasoning"

    _keys: ClassVar[tuple[str, ...]] = ("type", "text", "opaque")
    _optional: ClassVar[frozenset[str]] = frozenset({"opaque"})


Part: TypeAlias = TextPart | ImagePart | FilePart | AudioPart | ReasoningPart


@frozen
class ToolCall(Record):
    """A model's request to call a tool.

    Reads like the service's `function_calls` (`call["name"]`, `call["arguments"]` as an object) and like OpenAI's
    (`call["type"]`, `call["function"]["arguments"]` as text).

    Attributes:
        id: The call's id, which the tool's result names as `tool_call_id`.
        name: The tool's name.
        arguments_json: The arguments exactly as the model wrote them: JSON text, possibly broken; none at all are `{}`.
    """

    id: str
    name: str
    arguments_json: str = "{}"
    opaque: Opaque | None = None

    _keys: ClassVar[tuple[str, ...]] = ("id", "type", "function", "name", "arguments", "opaque")
    _optional: ClassVar[frozenset[str]] = frozenset({"opaque"})

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments as an object; no text at all means no arguments.

        Raises:
            ResponseFormatError: The model wrote something that is not a JSON object; read `arguments_json`.
        """
        if not self.arguments_json.strip():
            return {}
        try:
            value = json.loads(self.arguments_json)
        except ValueError as exc:
            raise ResponseFormatError(
                f"the model called {self.name!r} with arguments that are not JSON", body_prefix=self.arguments_json
            ) from exc
        if not isinstance(value, dict):
            raise ResponseFormatError(
                f"the model called {self.name!r} with {type(value).__name__} arguments, not an object",
                body_prefix=self.arguments_json,
            )
        return cast("dict[str, Any]", value)

    @property
    def type(self) -> Literal["function"]:
        """`"function"`, as OpenAI's wire has it."""
        return "function"

    @property
    def function(self) -> dict[str, str]:
        """Name and argument text, as OpenAI's wire has them."""
        return {"name": self.name, "arguments": self.arguments_json}

    def to_dict(self) -> dict[str, Any]:
        """Return the call in OpenAI's wire shape, plus what the provider attached to it."""
        call: dict[str, Any] = {"id": self.id, "type": "function", "function": self.function}
        if self.opaque is not None:
            call["opaque"] = plain(self.opaque)
        return call


@frozen
class ChatMessage(Record):
    """A message of a conversation: `ChatMessage("user", "Tell me a joke.")`.

    Attributes:
        role: system, user, assistant or tool.
        content: Text, or parts (text, images, files, audio, reasoning). None is for an assistant that only calls tools.
        name: A name for the speaker, where the provider takes one.
        tool_calls: The tools an assistant asked to call.
        tool_call_id: In a tool's result: the call it answers.
    """

    role: str
    content: str | Sequence[Part | Mapping[str, Any] | str] | None = None
    name: str | None = None
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] = ()
    tool_call_id: str | None = None
    is_error: bool | None = field(default=None, kw_only=True)

    _keys: ClassVar[tuple[str, ...]] = ("role", "content", "name", "tool_calls", "tool_call_id", "is_error")
    _optional: ClassVar[frozenset[str]] = frozenset({"name", "tool_calls", "tool_call_id", "is_error"})

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts; text becomes one `TextPart`, no content none."""
        if not self.content:
            return ()
        if isinstance(self.content, str):
            return (TextPart(self.content),)
        return tuple(_parse_part(part) for part in self.content)

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """The tool calls as `ToolCall` values, whatever shape they were given in."""
        return tuple(_parse_call(call) for call in self.tool_calls)

    @property
    def text(self) -> str:
        """All text of the content, without reasoning."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


def parse_messages(messages: object) -> tuple[ChatMessage, ...]:
    """Return checked, normalised messages from `ChatMessage` values or plain dicts; the input is never changed.

    Dicts may hold OpenAI's content parts (`text`, `image_url`, `input_audio`, `file`), this package's own, and
    OpenAI's `tool_calls` or the service's `function_calls`.

    Raises:
        InvalidRequestError: Naming the message and what is wrong with it.
    """
    if isinstance(messages, str | bytes | Mapping) or not isinstance(messages, Sequence):
        raise InvalidRequestError(
            f"messages must be a list of ChatMessage or dict, not {type(messages).__name__}", parameter="messages"
        )
    items = cast("Sequence[object]", messages)
    if not items:
        raise InvalidRequestError("messages is empty: pass at least one message", parameter="messages")
    return tuple(_parse_message(item, f"messages[{index}]") for index, item in enumerate(items))


def _parse_message(item: object, where: str) -> ChatMessage:
    if not isinstance(item, Mapping):
        raise InvalidRequestError(f"{where} must be a ChatMessage or dict, not {type(item).__name__}", parameter=where)
    message = cast("Mapping[str, Any]", item)
    role = message.get("role")
    if role is None:
        raise InvalidRequestError(f"{where} has no 'role': use one of {', '.join(ROLES)}", parameter=where)
    role = _ROLE_ALIASES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise InvalidRequestError(
            f"{where} has the unknown role {role!r}: use one of {', '.join(ROLES)}", parameter=where
        )
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_calls") or ()
    if content is None and not (role == "assistant" and calls):
        raise InvalidRequestError(f"{where} has no 'content'", parameter=where)
    if role == "tool" and not message.get("tool_call_id"):
        raise InvalidRequestError(
            f"{where} is a tool's result without 'tool_call_id': name the call it answers", parameter=where
        )
    if not (content is None or isinstance(content, str | Sequence)) or isinstance(content, bytes):
        raise InvalidRequestError(f"{where} has {type(content).__name__} content: use text or parts", parameter=where)
    try:
        return ChatMessage(
            role,
            content if content is None or isinstance(content, str) else tuple(_parse_part(part) for part in content),
            message.get("name"),
            tuple(_parse_call(call) for call in calls),
            message.get("tool_call_id"),
            is_error=message.get("is_error"),
        )
    except InvalidRequestError as exc:
        raise InvalidRequestError(f"{where}: {exc}", parameter=where) from None


def _parse_part(item: object) -> Part:
    if isinstance(item, TextPart | ImagePart | FilePart | AudioPart | ReasoningPart):
        return item
    if isinstance(item, str):
        return TextPart(item)
    if not isinstance(item, Mapping):
        raise InvalidRequestError(f"a content part must be a dict, not {type(item).__name__}", parameter="messages")
    part = cast("Mapping[str, Any]", item)
    read = _PART_READERS.get(str(part.get("type")))
    if read is None:
        raise InvalidRequestError(
            f"unknown content part type {part.get('type')!r}: use one of {', '.join(_PART_READERS)}",
            parameter="messages",
        )
    try:
        return read(part)
    except (KeyError, TypeError, AttributeError) as exc:
        raise InvalidRequestError(
            f"a content part of type {part.get('type')!r} lacks or misuses {exc}", parameter="messages"
        ) from None


def _read_text(part: Mapping[str, Any]) -> Part:
    return TextPart(str(part["text"]), _cache(part), _parse_opaque(part.get("opaque")))


def _read_image_url(part: Mapping[str, Any]) -> Part:
    image: Any = part["image_url"]
    url, detail = (image, None) if isinstance(image, str) else (image["url"], image.get("detail"))
    return ImagePart(**_from_url(url), detail=detail, cache=_cache(part))


def _read_input_audio(part: Mapping[str, Any]) -> Part:
    return AudioPart(data=part["input_audio"]["data"], media_type=f"audio/{part['input_audio']['format']}")


def _read_file(part: Mapping[str, Any]) -> Part:
    if "file" not in part:
        return FilePart(**_media(part), filename=part.get("filename"), cache=_cache(part))
    file = part["file"]
    return FilePart(**_from_url(file["file_data"]), filename=file.get("filename"), cache=_cache(part))


_PART_READERS: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "text": _read_text,
    "input_text": _read_text,
    "output_text": _read_text,
    "refusal": lambda part: TextPart(str(part["refusal"])),
    "image_url": _read_image_url,
    "image": lambda part: ImagePart(**_media(part), detail=part.get("detail"), cache=_cache(part)),
    "input_audio": _read_input_audio,
    "audio": lambda part: AudioPart(**_media(part)),
    "file": _read_file,
    "reasoning": lambda part: ReasoningPart(str(part.get("text", "")), _parse_opaque(part.get("opaque"))),
}


def _cache(part: Mapping[str, Any]) -> Literal["5m", "1h"] | None:
    """Read a cache mark: ours (`cache`), or `cache_control` as Anthropic and OpenRouter write it."""
    control = part.get("cache_control")
    mark = part.get("cache") or (control.get("ttl", "5m") if isinstance(control, Mapping) else None)
    if mark not in (None, "5m", "1h"):
        raise InvalidRequestError(f"a cache mark is '5m' or '1h', not {mark!r}", parameter="messages")
    return mark


def _media(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("url"):
        return _from_url(part["url"], part.get("media_type"))
    data = part["data"]
    encoded = base64.b64encode(data).decode() if isinstance(data, bytes) else str(data)
    return {"data": encoded, "media_type": part.get("media_type")}


def _from_url(url: str, media_type: str | None = None) -> dict[str, Any]:
    """Split a `data:` URL into base64 data and media type, so that every wire can write it its own way."""
    if not url.startswith("data:"):
        return {"url": url, "media_type": media_type}
    head, _, data = url[5:].partition(",")
    if not head.endswith(";base64"):
        raise InvalidRequestError("a data: URL must be base64", parameter="messages")
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError("a data: URL holds invalid base64", parameter="messages") from None
    return {"data": data, "media_type": head.removesuffix(";base64").split(";")[0] or media_type}


def _parse_opaque(item: object) -> Opaque | None:
    if item is None or isinstance(item, Opaque):
        return item
    if isinstance(item, Mapping) and isinstance(item.get("provider"), str) and isinstance(item.get("data"), Mapping):
        return Opaque(item["provider"], cast("Mapping[str, Any]", item["data"]))
    raise InvalidRequestError("'opaque' must have 'provider' and 'data'", parameter="messages")


def _parse_call(item: object) -> ToolCall:
    if isinstance(item, ToolCall):
        return item
    if not isinstance(item, Mapping):
        raise InvalidRequestError(f"a tool call must be a dict, not {type(item).__name__}", parameter="messages")
    call = cast("Mapping[str, Any]", item)
    function = call.get("function", call)
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequestError("a tool call needs 'id' and 'function' with 'name'", parameter="messages")
    arguments = function.get("arguments", call.get("args"))
    text = arguments if isinstance(arguments, str) else json.dumps(plain(arguments or {}), ensure_ascii=False)
    return ToolCall(str(call.get("id") or ""), function["name"], text, _parse_opaque(call.get("opaque")))
