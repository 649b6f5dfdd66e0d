"""How many cores, processes and machines a load needs: a model, and the measurement it is held against."""
