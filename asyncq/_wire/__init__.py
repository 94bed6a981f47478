"""How tasks look in Redis: names of keys, states, envelopes. No connection in here."""
