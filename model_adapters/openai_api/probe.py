"""What can be known of a server before the run: that it is there, takes the key, has the model, and sees pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model_adapters.contract import AdapterError, GenerationSettings, ImageRef, Request, Turn, did_you_mean
from model_adapters.openai_api.errors import RefusedError, TryError
from model_adapters.openai_api.options import EXTENSIONS, ServerOptions
from model_adapters.openai_api.secret import Secret

if TYPE_CHECKING:
    from model_adapters.openai_api.client import Client

PROBE_S = 15.0
SHOWN_MODELS = 20
# Fields of a model's card that say what is served; others (``created``, ``permission``) change at each start.
FACTS = ("id", "owned_by", "root", "parent", "max_model_len", "meta", "identity")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What the server says of one model.

    Attributes:
        facts: what of its entry in /models belongs to the identity; empty without a probe.
        identity: the served model's own identity, from servers that tell it.
        max_images: None is unknown, and not limited by us.
        accepts: sampling settings beyond the protocol.
    """

    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    max_images: int | None = None
    text_only: bool = True
    choice_scoring: bool = False
    accepts: tuple[str, ...] = ()


def find_model(client: Client, options: ServerOptions, secret: Secret, wanted: str | None) -> ModelCard:
    """The card of a model; the only one where none is named.

    Raises:
        AdapterError: no server, refused key, no list of models, unknown model, or several to choose from.
    """
    try:
        document = client.get("/models", PROBE_S)
    except TryError as error:
        raise AdapterError(_why(error, options, secret)) from None
    cards = {}
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        cards = {card["id"]: card for card in document["data"] if isinstance(card, dict) and "id" in card}
    if wanted is None and len(cards) == 1:
        wanted = next(iter(cards))
    names = ", ".join(sorted(cards)[:SHOWN_MODELS]) + (", ..." if len(cards) > SHOWN_MODELS else "")
    if wanted is None:
        raise AdapterError(
            f"{options.base_url} lists {len(cards)} models ({names or 'none'}); say which one: -o model=NAME."
        )
    if wanted not in cards:
        raise AdapterError(
            f"{options.base_url} has no model {wanted!r}.{did_you_mean(wanted, cards)} It lists: {names or 'none'}. "
            "If it loads models that it does not list, say -o probe=false."
        )
    return _read_card(wanted, cards[wanted])


def _read_card(name: str, card: Mapping[str, Any]) -> ModelCard:
    about = card.get("identity")
    tells = card.get("capabilities")
    tells = tells if isinstance(tells, dict) else {}
    max_images = tells.get("max_images")
    accepts = card.get("accepts")
    return ModelCard(
        name=name,
        facts={key: card[key] for key in FACTS if card.get(key) is not None},
        identity=about if isinstance(about, dict) else {},
        max_images=max_images if isinstance(max_images, int) else None,
        text_only=bool(tells.get("text_only", True)),
        choice_scoring=tells.get("choice_scoring") is True,
        accepts=tuple(name for name in EXTENSIONS if name in accepts) if isinstance(accepts, list) else (),
    )


def _why(error: TryError, options: ServerOptions, secret: Secret) -> str:
    told = secret.scrub(str(error))
    url = options.base_url
    if error.status in (401, 403):
        remedy = "Give a valid one" if secret.value else "It wants one: give it"
        return f"{url} refused the key ({secret.source}): {told} {remedy} by api_key_env or api_key_file."
    if error.status in (404, 405, 501):
        hint = "" if url.endswith("/v1") else " base_url usually ends in /v1."
        return f"{url}/models: {told}{hint} If the server keeps no list of models, say -o probe=false."
    if error.status is None and isinstance(error, RefusedError):
        return f"{url}: {told}"
    if error.status is None:
        return f"No server answers at {url}: {told} Start it, or correct base_url."
    return f"{url}/models: {told} The server is there and cannot list its models now; try again, or say -o probe=false."


def check_images(client: Client, options: ServerOptions, secret: Secret, model: str) -> None:
    """Ask about one small picture, for one token. Raises :class:`AdapterError` if the server does not take it."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(file, "PNG")
    data = file.getvalue()
    picture = ImageRef(hashlib.sha256(data).hexdigest(), "probe", lambda: data)
    request = Request("probe", (Turn("user", (picture, "What colour is this?")),), GenerationSettings(max_new_tokens=1))
    try:
        client.ask_once(request, model)
    except TryError as error:
        raise AdapterError(
            f"{options.base_url} did not answer about a small picture with the model {model!r}: "
            f"{secret.scrub(str(error))} It may be a text model, or served without its vision part."
        ) from None
