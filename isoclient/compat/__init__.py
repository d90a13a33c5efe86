"""Private names of other projects: each in a module that is named after the project, and nowhere else.

Where a project has changed them, what needs them is off, and the user is told so once (:mod:`self_tests
<isoclient.compat.self_tests>`). Nothing here is needed for a request to be sent and answered.
"""
