"""The link: what goes over the pipe between the test's process and the app's, and how it looks there.

Both processes use the same modules, so nothing here opens or waits for anything: bytes come in, frames go out, and who
has a socket or a file hands it in. What both need of the system is here, too, as it was before any test patched it.
"""
