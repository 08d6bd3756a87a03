"""The networks in training and the data of the tagger. Knows neither the catalogue nor clicks."""
