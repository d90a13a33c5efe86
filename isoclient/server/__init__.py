"""The server: what runs in the app's process (or thread). An event loop, one task per stream, the ASGI rules.

It never imports :mod:`requests`, :mod:`pytest`, the client, or what starts it.
"""
