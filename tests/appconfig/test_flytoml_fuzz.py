"""Whatever the files hold, the answer is a config or an error that a user can read."""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyroutes.appconfig import check_ips, load
from flyroutes.appconfig.reader import schema, service_keys
from flyroutes.errors import ConfigError, EmulationGap
from flyroutes.platform.model import IP

if TYPE_CHECKING:
    from pathlib import Path

FUZZ = settings(derandomize=True, max_examples=200, deadline=None)
KEYS = sorted(
    set(re.findall(r'"([a-z0-9_-]+)":', inspect.getsource(schema) + inspect.getsource(service_keys)))
)
TEXTS = (
    "",
    "tcp",
    "udp",
    "http",
    "tls",
    "8080",
    "10s",
    "stop",
    "suspend",
    "app",
    "1gb",
    "a b",
    "'",
    "\0",
    "é",
)
INSTRUCTIONS = (
    "FROM x", "FROM x AS y", "ARG a=b", "ENV a=$b", "ENV", "COPY . /app", "COPY --from=y a b", "ADD a b/",
    "CMD [", 'CMD ["a"]', "RUN x \\", "RUN <<E", "E", "# escape=`", "WORKDIR ${a", "ENTRYPOINT a",
)  # fmt: skip

leaves = st.one_of(
    st.sampled_from(TEXTS),
    st.text(),
    st.booleans(),
    st.integers(),
    st.sampled_from((0, 1, 80, 443, 5000, 65536, 2**63, 10**30)),
    st.floats(),
)
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(TEXTS))
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=30,
)
lines = st.lists(st.sampled_from(INSTRUCTIONS) | st.text(max_size=20), max_size=8)


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(name)} = {as_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool):
        return hex(value) if value > 0 else str(value)
    return quoted(value) if isinstance(value, str) else str(value).lower()


def quoted(text: str) -> str:
    return (
        json.dumps(text).replace("\x7f", "\\u007f") if text.isascii() else json.dumps(text, ensure_ascii=True)
    )


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def attempt(room: Path, toml: bytes, dockerfile: bytes = b'FROM x\nCMD ["a"]', ignore: bytes = b"") -> bool:
    """Whether it loads; any exception but ours goes through."""
    for name, content in (("fly.toml", toml), ("Dockerfile", dockerfile), (".dockerignore", ignore)):
        (room / name).write_bytes(content)
    message = ""
    try:
        config = load(room, context=room, default_app="web")
        check_ips(config, [IP("::1", "private_v6"), IP("::1", "v4")])
    except (ConfigError, EmulationGap) as error:
        message = str(error)
    assert all(line.startswith(str(room)) for line in message.split("\n") if message)
    return not message


@FUZZ
@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_as_toml(room: Path, content: bytes) -> None:
    attempt(room, content)


@FUZZ
@given(st.dictionaries(keys, trees, max_size=6))
def test_any_keys_and_values(room: Path, raw: dict[str, Any]) -> None:
    text = "".join(f"{quoted(name)} = {as_toml(item)}\n" for name, item in raw.items())
    attempt(room, text.encode())


@FUZZ
@given(st.sampled_from(("services", "http_service", "checks", "vm", "restart", "build", "env")), st.data())
def test_any_section(room: Path, section: str, data: st.DataObject) -> None:
    """Deeper than the whole file gets: one section with plausible keys."""
    raw = data.draw(st.dictionaries(keys, trees, max_size=8))
    attempt(room, f"{section} = {as_toml([raw] if section == 'services' else raw)}".encode())


@FUZZ
@given(st.binary() | lines.map(lambda found: "\n".join(found).encode()))
def test_any_dockerfile(room: Path, content: bytes) -> None:
    attempt(room, b"", content)


@FUZZ
@given(st.binary() | st.text("*?[]^!\\/.#ab-", max_size=20).map(str.encode))
def test_any_ignore_file(room: Path, content: bytes) -> None:
    attempt(room, b"", b"FROM x\nCOPY . /app\nCMD a", content)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a" + ".a" * 5000 + " = 1", "env.A = 0x" + "f" * 9000])
def test_nesting_and_numbers_beyond_use(room: Path, text: str) -> None:
    assert not attempt(room, text.encode())


def test_the_plain_case_loads(room: Path) -> None:
    assert attempt(room, b"")
