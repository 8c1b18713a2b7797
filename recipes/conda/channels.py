"""Where channels are: conda's own settings of `.condarc`, and what they come to.

What a name *means* is conda's to say: `custom_channels`, else `channel_alias`, and a lock names the URLs that
follow from that, without credentials. *Where it is fetched* is `mirrored_channels` and the mirrors of this
project's settings, and no lock tells.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from recipes.conda.block import credentials
from recipes.errors import SpecError
from recipes.located import Located, dotted

UNREACHABLE = "unreachable: "  # what the solver puts before its message where the network is at fault
_TOKEN = re.compile(r"/t/[^/]+(?=/|$)")
_IN_TEXT = re.compile(r"\b[a-z]+://\S+")
_NAMES = {"mirrored-channels": "mirrored_channels"}  # as rattler's and pixi's own settings spell it
_FALSE = ("false", "no", "off", "0")


@dataclass(frozen=True)
class Condarc:
    """What `.condarc` says of channels and of talking to their servers.

    `mirrored` has, by name or URL of a channel, the URLs that are asked in its place, in order. `ssl_verify`
    is false, or a file of certificates. URLs may hold credentials, and so are left out of the repr.
    """

    alias: str | None = field(default=None, repr=False)
    custom: Mapping[str, str] = field(default_factory=dict, repr=False)
    mirrored: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    ssl_verify: bool | str = True
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)

    def over(self, base: Condarc) -> Condarc:
        """Lay this file's settings over those of one that is read before it, as conda does."""
        return Condarc(
            self.alias or base.alias,
            {**base.custom, **self.custom},
            {**base.mirrored, **self.mirrored},
            base.ssl_verify if self.ssl_verify is True else self.ssl_verify,
            {**base.proxies, **self.proxies},
        )

    def url(self, channel: str, default: str) -> str:
        """Give the URL that a channel's name stands for; `default` is the alias that conda has built in."""
        if "://" in channel:
            return channel.rstrip("/")
        first, _, rest = channel.partition("/")
        for name in (channel, first):
            if name in self.custom:
                below = channel if name == channel else f"{first}/{rest}"
                return f"{self.custom[name].rstrip('/')}/{below}"
        return f"{(self.alias or default).rstrip('/')}/{channel}"

    def mirrors(self, channel: str, url: str, rewrite: Callable[[str], str]) -> tuple[str, ...]:
        """Give the URLs to ask for a channel, in order; itself where it has no mirrors."""
        bare = public(url)
        told = self.mirrored.get(channel) or self.mirrored.get(bare) or (url,)
        rewritten = rewrite(f"{bare}/").rstrip("/")
        return (rewritten,) if rewritten != bare else tuple(one.rstrip("/") for one in told)

    def private(self, url: str) -> str:
        """Give a channel's public URL with the credentials that an alias or `custom_channels` has for it."""
        for one in (self.alias or "", *self.custom.values()):
            known = one.rstrip("/")
            if public(known) != known and f"{url}/".startswith(f"{public(known)}/"):
                return f"{known}{url.removeprefix(public(known))}"
        return url

    def document(self) -> dict[str, Any]:
        """Give the settings as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make settings of what `document` gave."""
        mirrored = {name: tuple(urls) for name, urls in values["mirrored"].items()}
        return cls(**{**values, "mirrored": mirrored})


def public(url: str) -> str:
    """Give a URL without what only its user may know: user name, password, token."""
    scheme, mark, rest = url.partition("://")
    if not mark or credentials(url) is None:
        return url
    host, slash, path = rest.partition("/")
    return f"{scheme}{mark}{host.rpartition('@')[2]}{_TOKEN.sub('', f'{slash}{path}')}"


def without_secrets(text: str) -> str:
    """Give a text for people, such as another program's message, with each URL in it as `public` gives it."""
    return _IN_TEXT.sub(lambda found: public(found[0]), text)


def parse(found: Located, environ: Mapping[str, str]) -> Condarc:
    """Read a `.condarc`; what is not of channels is not looked at. Raises SpecError.

    `$NAME` and `${NAME}` in a URL are variables of the environment, as for conda.
    """
    values = {_NAMES.get(key, key): one for key, one in (found.value or {}).items()}

    def expanded(text: Any, *place: str) -> str:
        if not isinstance(text, str):
            raise SpecError(f"{found.where(place)}: {dotted(place)}: expected text")
        return string.Template(text).safe_substitute(environ)

    def mapping(key: str) -> Mapping[str, Any]:
        value = values.get(key) or {}
        if not isinstance(value, dict):
            raise SpecError(f"{found.where((key,))}: {key}: expected a mapping")
        return value

    def urls(value: Any, *place: str) -> tuple[str, ...]:
        return tuple(expanded(one, *place) for one in (value if isinstance(value, list) else [value]))

    alias, verify = values.get("channel_alias"), values.get("ssl_verify")
    return Condarc(
        alias=expanded(alias, "channel_alias") if alias else None,
        custom={
            name: expanded(one, "custom_channels", name) for name, one in mapping("custom_channels").items()
        },
        mirrored={
            name: urls(one, "mirrored_channels", name) for name, one in mapping("mirrored_channels").items()
        },
        ssl_verify=_verify(verify) if isinstance(verify, str) else True,
        proxies={
            name: expanded(one, "proxy_servers", name) for name, one in mapping("proxy_servers").items()
        },
    )


def _verify(text: str) -> bool | str:
    if text.lower() in _FALSE:
        return False
    return text if "/" in text else True
