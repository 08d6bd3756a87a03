"""OpenSearch: the client, bulk writes, bodies of requests, the labels of an index. Knows neither text nor models."""
