"""What must be so in the app's process as it is in the test's, each thing in a file of its own, with both its halves.

:mod:`mirrored <isoclient.mirror.mirrored>` says what a thing is made of, and :mod:`mirrors <isoclient.mirror.mirrors>`
has the list of them.
"""
