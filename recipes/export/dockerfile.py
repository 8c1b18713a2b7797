"""An install script as a Dockerfile of its own: built in one image, the result alone put into another."""

from __future__ import annotations

import re

from recipes.errors import UsageError

#: Where the script runs: it has git, Python and pip. 3.11.15 on Debian 12, for several platforms.
BUILDER = "python:3.11.15-bookworm@sha256:a8f8fbe1a0edc9e4dddafa64ba73f7e04be7be5ebc23f332362e779e0a2e4e52"

#: Where the result goes: Ubuntu 22.04, which TVM's ci_cpu image is made from.
BASE = "ubuntu:22.04@sha256:77906da86b60585ce12215807090eb327e7386c8fafb5402369e421f44eff17e"

#: An image by its digest, which is the same image for ever.
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]*@sha256:[0-9a-f]{64}")

_TEXT = """\
# Builds {component} of the variant `{variant}` and puts it into {prefix} of an image.
#
#     docker build --tag {component} - < Dockerfile
#
# Written by `recipes export dockerfile`: change the lock, not this file. It needs BuildKit's heredocs
# (Docker 23 or later).
FROM {builder} AS build
COPY --chmod=755 <<'{end}' /install.sh
{script}{end}

RUN WORK=/work /install.sh {prefix}

FROM {base}
COPY --from=build {prefix} {prefix}
"""


def render(script: str, *, component: str, variant: str, base: str, builder: str) -> str:
    """Give the Dockerfile. Raises UsageError for an image that is not named by its digest."""
    for image in (base, builder):
        if not IMAGE.fullmatch(image):
            raise UsageError(
                f"`{image}` may be another image tomorrow: name it by digest, as NAME@sha256:…",
                hint=f"`docker buildx imagetools inspect {image.partition('@')[0]}` prints the digest",
            )
    return _TEXT.format(
        component=component,
        variant=variant,
        prefix=f"/opt/{component}",
        builder=builder,
        base=base,
        end="END_OF_THE_SCRIPT",
        script=script,
    )
