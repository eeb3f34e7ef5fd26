"""The fault harness: what is committed after every fault is what the oracles say, nothing missing, nothing twice.

`make test-faults` plays all of it (`python -m tests.faults --help`); a short set of it stands among the tests.
A scenario (scenario.py) prepares, lets an upstream send (upstream.py), does its harm, and is then judged by what stands
on the topics (verdict.py) and how soon commits went on (recovery.py). The list of them is catalogue.py.
"""
