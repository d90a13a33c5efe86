"""The link: what both processes have in common beside the wire: what crosses in which shape, and the system as it was.

Both processes use the same modules, so nothing here opens or waits for anything: who has a socket or a file hands it
in. What both need of the system is here, too, as it was before any test patched it.
"""
