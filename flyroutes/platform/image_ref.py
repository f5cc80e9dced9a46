"""References of images, as Docker and the Machines API split them (docs machines/api: image_ref)."""

from __future__ import annotations

from typing import NamedTuple

DOCKER_HUB = "registry-1.docker.io"
"""Where a reference without a registry leads (docs machines/api/machines-resource: config.image)."""


class ImageRef(NamedTuple):
    """`registry/repository:tag@digest`; `tag` is `latest` unless given, `digest` empty."""

    registry: str
    repository: str
    tag: str
    digest: str


def split(ref: str) -> ImageRef:
    """The parts of `ref`; a first part with a dot or a colon, or `localhost`, names the registry."""
    name, _, digest = ref.partition("@")
    first, slash, rest = name.partition("/")
    hosted = bool(slash) and ("." in first or ":" in first or first == "localhost")
    repository, _, tag = (rest if hosted else name).partition(":")
    registry = first if hosted and first != "docker.io" else DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return ImageRef(registry, repository, tag or "latest", digest)
