"""The HTTP service: the app, and the hook that takes catalogue changes and queues them on the cluster.

Knows HTTP, signatures and the form of a request. Knows neither models nor how a change is written.
"""
