"""The local Fly Proxy: accepts, finds the service, applies its handlers, relays to a Machine."""

from flyroutes.local.proxy.proxy import Proxy

__all__ = ["Proxy"]
