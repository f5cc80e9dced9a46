"""`fly.toml` to frozen values, with the checks that flyctl does not make."""

from flyroutes.appconfig.config import AppConfig, load
from flyroutes.appconfig.ips import check_ips

__all__ = ["AppConfig", "check_ips", "load"]
