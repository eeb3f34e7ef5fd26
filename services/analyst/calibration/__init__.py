"""`tierline fit`: the numbers of a policy's `calibration:` section, estimated from the purchases of a population."""
