"""The repository's own four apps load as they are, from the directory that `fly deploy -c` runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyroutes.appconfig import check_ips, load
from flyroutes.errors import ConfigError
from flyroutes.platform.model import IP

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = {
    "public_http": (IP("2001:db8::1", "v6"), IP("198.51.100.1", "shared_v4")),
    "flycast_api": (IP("fdaa:0:18:0:1::2", "private_v6"),),
    "sixpn_worker": (),
    "udp_echo": (IP("198.51.100.2", "v4"),),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_reference_app_loads(name: str) -> None:
    config = load(ROOT / "fly" / f"{name}.toml", context=ROOT)
    assert config.app == name.replace("_", "-")
    assert {_subject(warning) for warning in config.warnings} <= {"RUN"}
    assert check_ips(config, ADDRESSES[name]) == ()
    assert (str(ROOT / "services" / name), "/app") in config.image.copies
    assert config.image.command == ("python", "server.py")


def _subject(warning: str) -> str:
    """The key or instruction that a warning is about."""
    return warning.partition(" is not ")[0].split()[-1]


def edited(name: str, old: str, new: str, tmp_path: Path) -> Path:
    text = (ROOT / "fly" / f"{name}.toml").read_text()
    assert old in text
    (tmp_path / "fly").mkdir()
    (tmp_path / "services").symlink_to(ROOT / "services")
    (tmp_path / "fly" / f"{name}.toml").write_text(text.replace(old, new, 1))
    return tmp_path / "fly" / f"{name}.toml"


def test_redirect_on_the_flycast_app(tmp_path: Path) -> None:
    """The file alone is fine; with a Flycast address it is not."""
    path = edited("flycast_api", 'handlers = ["http"]', 'handlers = ["http"]\nforce_https = true', tmp_path)
    (warning,) = check_ips(load(path, context=ROOT), ADDRESSES["flycast_api"])
    assert "remove force_https" in warning


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [
        ("udp_echo", "internal_port = 5000", "internal_port = 5001", "never their ports"),
        ("public_http", "force_https", "forse_https", 'did you mean "force_https"?'),
        ("sixpn_worker", "[env]", "[env", "not valid TOML"),
    ],
)
def test_mistake_in_a_reference_app(tmp_path: Path, name: str, old: str, new: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(edited(name, old, new, tmp_path), context=ROOT)
    assert part in str(caught.value)
