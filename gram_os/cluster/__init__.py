"""OpenSearch: the client, bulk writes, bodies of requests, refusals, labels. Knows neither text nor models."""
