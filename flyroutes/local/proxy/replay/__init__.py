"""Fly Proxy's detours: where a request goes when an app's answer, or one remembered, has it replayed."""
