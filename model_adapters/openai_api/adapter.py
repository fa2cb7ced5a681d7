"""The adapter ``openai``: any server that speaks OpenAI's chat completions protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from model_adapters.contract import AdapterError, Capabilities, ModelAdapter, Request, Response
from model_adapters.openai_api.client import Client
from model_adapters.openai_api.images import POLICY
from model_adapters.openai_api.options import PROBES, ServerOptions, checked_options
from model_adapters.openai_api.probe import ModelCard, check_images, find_model
from model_adapters.openai_api.secret import Secret, read_secret

ADAPTER_VERSION = "1"


class OpenAIAdapter(ModelAdapter):
    """A served model behind the adapter contract.

    Args:
        base_url: up to and with the version, for example ``http://127.0.0.1:8000/v1``.
        model: name under which the server has it; may be left out where the server has one model.
        api_key_env: name of the environment variable that holds the key.
        api_key_file: file that holds the key, instead.
        concurrency: requests on the way at a time.
        retries: further tries after 429, 5xx, time-outs, resets and unreadable answers.
        timeout_s: of one try, from sending to the last byte.
        longest_wait_s: a server that wants a longer pause than this fails the request.
        stream: let answers come in pieces, which gives TTFT, TPOT and the longest gap.
        token_limit: the field for the most tokens: ``max_tokens``, or ``max_completion_tokens`` (OpenAI's newer
            models).
        choice_scoring: how choices get their likelihood: ``server``, by servers that say they can (ours); or
            ``first_token``, from the log-probabilities of the answer's first token, for choices of one token (option
            letters) and servers with ``top_logprobs``.
        image_detail: ``low``, ``high`` or ``auto``; null leaves it to the server.
        extra_body: further fields of every request, for example ``{chat_template_kwargs: {enable_thinking: false}}``.
        accepts: sampling settings beyond the protocol that the server reads: some of ``num_beams``,
            ``repetition_penalty``, ``top_k``, with commas.
        price_in, price_out: money per million prompt and new tokens; gives the cost of each request.
        ca_file: certificates (PEM) of an authority to trust beside the system's.
        probe: before the run: ``models`` asks for the list of models; ``image`` also asks about one small picture;
            ``none`` (or false) sends nothing.
    """

    def __init__(
        self,
        base_url: str | None = None,
        model: str | None = None,
        api_key_env: str | None = None,
        api_key_file: str | None = None,
        concurrency: int = 16,
        retries: int = 6,
        timeout_s: float = 300.0,
        longest_wait_s: float = 120.0,
        stream: bool = False,
        token_limit: str = "max_tokens",  # noqa: S107 - a field's name
        choice_scoring: str = "server",
        image_detail: str | None = None,
        extra_body: Mapping[str, Any] | None = None,
        accepts: str | None = None,
        price_in: float | None = None,
        price_out: float | None = None,
        ca_file: str | None = None,
        probe: str | bool = "models",
    ) -> None:
        self._options = checked_options(
            base_url=base_url,
            concurrency=concurrency,
            retries=retries,
            timeout_s=timeout_s,
            longest_wait_s=longest_wait_s,
            stream=stream,
            token_limit=token_limit,
            choice_scoring=choice_scoring,
            image_detail=image_detail,
            extra_body=extra_body,
            accepts=accepts,
            price_in=price_in,
            price_out=price_out,
            ca_file=ca_file,
        )
        probe = _probe_kind(probe, model)
        self._secret = read_secret(api_key_env, api_key_file)
        _refuse_open_key(self._options, self._secret)
        self._client = Client(self._options, self._secret)
        try:
            self._card = self._probed(probe, model)
        except BaseException:
            self._client.close()
            raise
        self._accepts = tuple(sorted({*self._options.accepts, *self._card.accepts}))
        self.capabilities = Capabilities(
            max_images=self._card.max_images,
            text_only=self._card.text_only,
            choice_scoring=self._card.choice_scoring or choice_scoring == "first_token",
            streaming=stream,
        )

    def _probed(self, probe: str, model: str | None) -> ModelCard:
        card = (
            ModelCard(str(model)) if probe == "none" else find_model(self._client, self._options, self._secret, model)
        )
        if probe == "image":
            check_images(self._client, self._options, self._secret, card.name)
        return card

    def identity(self) -> Mapping[str, Any]:
        """Where the model is served and as what. Weights are unknown unless the server tells (ours does)."""
        return {
            "adapter": "openai",
            "adapter_version": ADAPTER_VERSION,
            "model": self._card.name,
            "weights": self._card.identity.get("weights"),
            "dtype": self._card.identity.get("dtype"),
            "device": "server",
            "parameters": self._card.identity.get("parameters"),
            "base_url": self._options.base_url,
            "served": dict(self._card.facts),
            "images": POLICY,
            "image_detail": self._options.image_detail,
            "token_limit": self._options.token_limit,
            "choice_scoring": self._options.choice_scoring,
            "extra_body": dict(self._options.extra_body),
            "accepts": list(self._accepts),
        }

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests as the server does, up to ``concurrency`` at a time."""
        plain = (replace(request, choices=()) if request.choices else request for request in requests)
        return self._client.ask(plain, self._card.name, self._accepts)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihood of each request's choices, where the server or the option ``choice_scoring`` gives it."""
        if not self.capabilities.choice_scoring:
            return super().score_choices(requests)
        return self._client.ask(requests, self._card.name, self._accepts)

    def stop(self) -> None:
        """Send nothing more; what is being answered is still awaited."""
        self._client.stop()

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def _probe_kind(probe: str | bool, model: str | None) -> str:
    """One of ``PROBES``. Raises :class:`AdapterError` for another, or where nothing would say which model is meant."""
    kind = ("models" if probe else "none") if isinstance(probe, bool) else probe
    if kind not in PROBES:
        raise AdapterError(f"The option probe is {probe!r}; expected {', '.join(PROBES)} or false.")
    if kind == "none" and not model:
        raise AdapterError("Without a probe the adapter openai needs model: -o model=NAME as the server calls it.")
    return kind


def _refuse_open_key(options: ServerOptions, secret: Secret) -> None:
    if secret.value and not (options.is_tls or options.is_loopback):
        raise AdapterError(
            f"{options.base_url} is not encrypted, and the key would be sent over the network for all to read. Use "
            "https://, or a tunnel to 127.0.0.1."
        )
