"""The networks while they train, and the data of the tagger. Knows neither the catalogue nor clicks."""
