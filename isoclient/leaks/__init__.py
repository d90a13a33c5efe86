"""What an app leaves behind in its process: pictures of that before and after, and which line of code it comes from.

A file for each kind of thing, with a class that has two methods: ``before`` takes a picture of what there is, and
``after`` compares with it. The list of them is in :mod:`isoclient.leaks.kinds`. None of it is imported where nobody
asks for leaks.
"""
