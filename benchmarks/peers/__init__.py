"""Systems that GRAM is compared with in benchmarks/quality.py, each behind the interface of `interface.Peer`."""
