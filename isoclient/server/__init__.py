"""The server: what runs in the app's process (or thread). An event loop, one task per stream, the ASGI rules.

It never imports :mod:`requests`, :mod:`pytest`, or the other rooms of the package but the link.
"""
