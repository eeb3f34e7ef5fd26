"""`tierline policy backtest`: a policy tried on what has happened, by the scorer's own core."""
