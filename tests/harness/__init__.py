"""What the tests of the daemon stand on: one way to start it and to read its log (daemon), to wait
(wait), to talk to it (clients), one model of what it answers (lines), and networks of its own (network).
"""
