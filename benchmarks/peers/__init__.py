"""The systems that benchmarks/quality.py compares GRAM with. Each implements `interface.Peer`."""
