"""The link: what goes over the pipe between the test's process and the app's, and how it looks there.

Everything here is pure: bytes in, frames out, and no I/O. Both processes use the same modules.
"""
